#include "app/commands/plan_prompts.h"

#include <fmt/format.h>

#include <filesystem>
#include <memory>
#include <optional>
#include <variant>

#include "app/model_text.h"
#include "app/requests/body_parameters.h"
#include "app/requests/prompt_tokens.h"
#include "app/requests/prompts.h"
#include "base/error.h"

namespace weft {
namespace {

/// Requests that are tried.
constexpr std::int64_t kTried = 100;

/// Why a request would get an error row; nothing where it would not, for all that its tokens tell.
std::optional<std::string> refusal_of(const Prompt& prompt, PromptTokens& tokens,
                                      std::int64_t vocab) {
  if (const auto* error = std::get_if<PromptError>(&prompt)) return error->message;
  const PromptLine& line = std::get<PromptLine>(prompt);
  try {
    (void)tokens.of(line);
    (void)tokens.bad_words(line.sampling.bad_words, vocab);
  } catch (const RequestFault& fault) {
    return fault.message;
  } catch (const UserError& error) {
    return error.what();
  }
  return std::nullopt;
}

}  // namespace

std::string check_prompts(const Job& job, std::int64_t vocab) {
  const std::string path = job.input.file.string();
  if (std::error_code ignored; !std::filesystem::exists(job.input.file, ignored)) {
    return fmt::format("prompts   {} is not there yet\n", path);
  }
  const PromptRules rules = prompt_rules(job, vocab);
  const std::int64_t requests = survey_prompts(job.input.file, rules).requests;
  const std::unique_ptr<Tokenizer> tokenizer = open_tokenizer(job.model);
  PromptTokens tokens(job.model, tokenizer.get(), job.input.lost_messages);
  PromptReader reader(job.input.file, rules);
  std::int64_t tried = 0;
  std::int64_t refused = 0;
  std::string first;
  for (; tried < kTried; ++tried) {
    const std::optional<Prompt> prompt = reader.next();
    if (!prompt) break;
    const std::optional<std::string> why = refusal_of(*prompt, tokens, vocab);
    if (!why) continue;
    if (refused++ == 0) first = fmt::format("line {}: {}", source_of(*prompt).line, *why);
  }
  // A model of a shape alone, without tokenizer, is planned for other prompts.
  if (tried > 0 && refused == tried && tokenizer != nullptr) {
    fail_user("{}: each of the first {} requests would get an error row, such as that of {}", path,
              tried, first);
  }
  std::string text = fmt::format("prompts   {}: {} requests", path, requests);
  if (refused > 0) {
    text += fmt::format("; of the first {}, {} would get error rows, such as that of {}", tried,
                        refused, first);
  }
  return text + "\n";
}

}  // namespace weft
