#include "app/requests/prompts.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <utility>

#include "app/requests/chat_body.h"
#include "app/requests/completion_body.h"
#include "base/error.h"
#include "io/foreign_text.h"
#include "io/json.h"

namespace weft {
namespace {

using nlohmann::json;

constexpr std::string_view kCompletions = "/v1/completions";
constexpr std::string_view kChatCompletions = "/v1/chat/completions";
constexpr int kPromptDepth = 64;  ///< deepest nesting of a line's JSON

[[noreturn]] void refuse(std::optional<std::string> param, std::string_view code,
                         std::string message) {
  throw RequestFault{std::move(message), std::move(param), std::string(code)};
}

/// The line as a JSON object.
json parse_object(std::string_view line, std::int64_t number, const PromptRules& rules) {
  const std::string where = fmt::format("line {}", number);
  json object;
  try {
    object = parse_json(line, where,
                        {.bytes = kPromptLineCap, .depth = kPromptDepth, .stop = rules.stop});
  } catch (const UserError& error) {
    std::string message = error.what();
    const std::string place = where + ":1:";  // there is only one line in this text
    if (message.starts_with(place)) message.replace(0, place.size(), where + ", column ");
    refuse(std::nullopt, kInvalidJson, std::move(message));
  }
  if (!object.is_object()) {
    refuse(std::nullopt, kInvalidJson, fmt::format("{}: not a JSON object", where));
  }
  return object;
}

/// A string member of the outer object; `param` errors when it is missing or no string.
const std::string& text_member(const json& object, const std::string& key) {
  const auto found = object.find(key);
  if (found == object.end()) refuse(key, "missing_parameter", fmt::format("'{}' is missing", key));
  if (!found->is_string()) {
    refuse(key, "invalid_type", fmt::format("'{}' must be a string, not {}", key, shown(*found)));
  }
  return found->get_ref<const std::string&>();
}

void read_custom_id(const json& object, PromptSource& source) {
  const std::string& id = text_member(object, "custom_id");
  if (id.empty()) refuse("custom_id", "invalid_value", "'custom_id' is empty");
  if (id.size() > kMaxNameBytes) {
    refuse(
        "custom_id", "invalid_value",
        fmt::format("'custom_id' has {} bytes, at most {} are allowed", id.size(), kMaxNameBytes));
  }
  source.custom_id = id;
}

void check_envelope(const json& object) {
  if (const std::string& method = text_member(object, "method"); method != "POST") {
    refuse("method", "invalid_value",
           fmt::format("'method' must be \"POST\", not {}", shown(json(method))));
  }
  const std::string& url = text_member(object, "url");
  if (url != kCompletions && url != kChatCompletions) {
    refuse("url", "unsupported_url",
           fmt::format("url {} is not supported; use {} or {}", shown(json(url)), kCompletions,
                       kChatCompletions));
  }
  for (const auto& [key, value] : object.items()) {
    if (key != "custom_id" && key != "method" && key != "url" && key != "body") {
      refuse(key, "unsupported_parameter",
             fmt::format("{} is not part of a request", shown(json(key))));
    }
  }
}

/// Whether names of special tokens in a request are these tokens, where it does not say itself. Who
/// writes whole prompts writes them on purpose; authors of messages are not trusted.
bool parses_special(const PromptRules& rules, bool chat) {
  if (rules.special_tokens == SpecialTokens::automatic) return !chat;
  return rules.special_tokens == SpecialTokens::parse;
}

void read_openai(std::string_view text, const PromptRules& rules, PromptLine& line) {
  const json object = parse_object(text, line.source.line, rules);
  read_custom_id(object, line.source);
  check_envelope(object);
  const auto body = object.find("body");
  if (body == object.end()) refuse("body", "missing_parameter", "'body' is missing");
  if (!body->is_object()) {
    refuse("body", "invalid_type", fmt::format("'body' must be an object, not {}", shown(*body)));
  }
  const bool chat = object["url"] == kChatCompletions;
  line.parse_special = parses_special(rules, chat);
  read_boolean(*body, "parse_special", line.parse_special);
  if (chat) {
    read_chat_body(*body, text, rules, line);
  } else {
    read_completion_body(*body, rules, line);
  }
}

/// The id of a line that brings none.
std::string line_id(const PromptSource& source) { return fmt::format("line-{}", source.line); }

/// "custom_id" or "id" of a JSON object, when it is a string that is not too long, or an integer.
std::optional<std::string> own_id(const json& object) {
  for (const char* key : {"custom_id", "id"}) {
    const auto found = object.find(key);
    if (found == object.end()) continue;
    if (found->is_string() && !found->get_ref<const std::string&>().empty() &&
        found->get_ref<const std::string&>().size() <= kMaxNameBytes) {
      return found->get<std::string>();
    }
    if (found->is_number_integer()) return found->dump();
  }
  return std::nullopt;
}

void use_defaults(const PromptRules& rules, PromptLine& line) {
  line.parse_special = parses_special(rules, false);
  line.sampling = rules.defaults;
  line.sampling.seed = derived_seed(rules.defaults.seed, *line.source.custom_id);
}

void read_jsonl(std::string_view text, const PromptRules& rules, PromptLine& line) {
  line.source.custom_id = line_id(line.source);
  const json object = parse_object(text, line.source.line, rules);
  if (auto id = own_id(object)) line.source.custom_id = std::move(id);
  line.prompt = text_member(object, rules.field);
  use_defaults(rules, line);
}

void read_text_line(std::string_view text, const PromptRules& rules, PromptLine& line) {
  line.source.custom_id = line_id(line.source);
  line.prompt = std::string(text);
  use_defaults(rules, line);
}

bool is_blank(std::string_view line) {
  return line.find_first_not_of(" \t\r") == std::string_view::npos;
}

Prompt too_long(PromptSource source, InputFormat format) {
  if (format != InputFormat::openai) source.custom_id = line_id(source);
  return PromptError{.source = std::move(source),
                     .message = fmt::format("the line is longer than {} bytes", kPromptLineCap),
                     .param = std::nullopt,
                     .code = "line_too_long"};
}

}  // namespace

const PromptSource& source_of(const Prompt& prompt) {
  return std::visit([](const auto& either) -> const PromptSource& { return either.source; },
                    prompt);
}

PromptRules prompt_rules(const Job& job, std::int64_t vocab) {
  return {.format = job.input.format,
          .field = job.input.field,
          .special_tokens = job.input.special_tokens,
          .defaults = job.sampling,
          .vocab = vocab};
}

std::uint64_t derived_seed(std::uint64_t job_seed, std::string_view custom_id) {
  return digest_of(fmt::format("{}\n{}", job_seed, custom_id)).low;
}

Prompt parse_prompt(std::string_view text, PromptSource source, const PromptRules& rules) {
  PromptLine line;
  line.source = std::move(source);
  try {
    switch (rules.format) {
      case InputFormat::openai:
        read_openai(text, rules, line);
        break;
      case InputFormat::jsonl:
        read_jsonl(text, rules, line);
        break;
      case InputFormat::text:
        read_text_line(text, rules, line);
        break;
    }
  } catch (RequestFault& fault) {
    return PromptError{.source = std::move(line.source),
                       .message = std::move(fault.message),
                       .param = std::move(fault.param),
                       .code = std::move(fault.code)};
  }
  return line;
}

PromptReader::PromptReader(const std::filesystem::path& file, PromptRules rules, Digester* digest)
    : file_(file),
      lines_(open_stream(file), kPromptLineCap, digest, rules.stop),
      rules_(std::move(rules)) {}

bool PromptReader::advance() {
  while (lines_.next(line_)) {
    if (line_.number == 1) refuse_foreign_text(line_.text, file_.string());
    if (line_.number == 1 && line_.text.starts_with("\xEF\xBB\xBF")) line_.text.remove_prefix(3);
    if (line_.text.ends_with('\r')) line_.text.remove_suffix(1);
    if (!is_blank(line_.text)) return true;
  }
  return false;
}

std::optional<Prompt> PromptReader::next() {
  if (!advance()) return std::nullopt;
  PromptSource source{.index = index_++, .line = line_.number, .custom_id = std::nullopt};
  if (line_.too_long) return too_long(std::move(source), rules_.format);
  return parse_prompt(line_.text, std::move(source), rules_);
}

bool PromptReader::skip() {
  if (!advance()) return false;
  ++index_;
  return true;
}

}  // namespace weft
