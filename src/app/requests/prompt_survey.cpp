// The pass over the whole prompt file at the start of a job.
#include <algorithm>
#include <cstdint>
#include <functional>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "app/requests/prompts.h"
#include "base/cancelled.h"
#include "base/error.h"
#include "io/json.h"

namespace weft {
namespace {

std::uint64_t hash_of(const std::string& custom_id) { return digest_of(custom_id).low; }

using Stop = std::function<bool()>;

/// The custom_id on a line. Throws Cancelled when `stop` says so.
std::string id_on(const std::filesystem::path& file, const PromptRules& rules, std::int64_t line,
                  const Stop& stop) {
  PromptReader reader(file, rules);
  while (const auto prompt = reader.next()) {
    if (stop && stop()) throw Cancelled();
    const PromptSource& source = source_of(*prompt);
    if (source.line == line) return source.custom_id.value_or("");
  }
  return {};
}

/// Throws UserError about the first custom_id that was given before. `hashes` are those of all ids,
/// in any order; only where some are equal the file is read again, for the lines. Throws Cancelled
/// when `stop` says so.
void refuse_repeated(const std::filesystem::path& file, const PromptRules& rules,
                     std::vector<std::uint64_t> hashes, const Stop& stop) {
  std::sort(hashes.begin(), hashes.end());
  std::vector<std::uint64_t> repeated;
  for (std::size_t i = 1; i < hashes.size(); ++i) {
    if (hashes[i] == hashes[i - 1]) repeated.push_back(hashes[i]);
  }
  if (repeated.empty()) return;
  const std::size_t copies = repeated.size();
  repeated.erase(std::unique(repeated.begin(), repeated.end()), repeated.end());
  std::vector<std::int64_t> first_lines(repeated.size(), 0);
  PromptReader reader(file, rules);
  while (const auto prompt = reader.next()) {
    if (stop && stop()) throw Cancelled();
    const PromptSource& source = source_of(*prompt);
    if (!source.custom_id) continue;
    const std::uint64_t hash = hash_of(*source.custom_id);
    const auto found = std::lower_bound(repeated.begin(), repeated.end(), hash);
    if (found == repeated.end() || *found != hash) continue;
    std::int64_t& first = first_lines[static_cast<std::size_t>(found - repeated.begin())];
    if (first == 0) {
      first = source.line;
    } else if (id_on(file, rules, first, stop) == *source.custom_id) {  // else two ids of one hash
      fail_user("{}:{}: custom_id '{}' was already given on line {}{}", file.string(), source.line,
                source.custom_id->substr(0, 100), first,
                copies > 1 ? fmt::format("; {} such lines in all", copies) : "");
    }
  }
}

/// Whether a line of text is what an OpenAI batch consists of.
bool is_batch_request(const Prompt& prompt) {
  const auto* const line = std::get_if<PromptLine>(&prompt);
  const auto* const text = line != nullptr ? std::get_if<std::string>(&line->prompt) : nullptr;
  if (text == nullptr || text->find("\"custom_id\"") == std::string::npos) return false;
  try {
    const nlohmann::json object = parse_json(*text, "a line");
    return object.is_object() && object.contains("custom_id") && object.contains("body");
  } catch (const UserError&) {
    return false;
  }
}

/// Tells a file of another kind from one with faulty lines, by its first requests.
class FormatCheck {
 public:
  FormatCheck(const std::filesystem::path& file, const PromptRules& rules)
      : file_(file), rules_(rules) {}

  /// Throws UserError at the last of the first lines, when none of them is a JSON object or, where
  /// they are to be text, each is a request of an OpenAI batch.
  void add(const Prompt& prompt) {
    if (!open_) return;
    const auto* const error = std::get_if<PromptError>(&prompt);
    open_ = rules_.format == InputFormat::text ? is_batch_request(prompt)
                                               : error != nullptr && error->code == kInvalidJson;
    if (!open_) return;
    if (lines_ == 0 && error != nullptr) fault_ = error->message;
    if (++lines_ == kFirstLines) end();
  }

  /// The file ends.
  void end() const {
    if (!open_ || lines_ == 0) return;
    if (rules_.format == InputFormat::text) {
      fail_user(
          "{}: {} a request of an OpenAI batch, which input.format: text would complete as it "
          "stands; write input.format: openai, or bring such texts as members of JSON lines "
          "(input.format: jsonl)",
          file_.string(),
          lines_ == 1 ? "its only line is" : fmt::format("each of the first {} lines is", lines_));
    }
    const std::string lines = lines_ == 1 ? "its only line is no"
                                          : fmt::format("none of the first {} lines is a", lines_);
    const std::string wanted =
        rules_.format == InputFormat::openai
            ? "which input.format: openai expects, with custom_id, method, url and body"
            : fmt::format("which input.format: jsonl expects, with the prompt in '{}'",
                          rules_.field);
    fail_user("{}: {}; {} JSON object, {}", file_.string(), fault_, lines, wanted);
  }

 private:
  static constexpr int kFirstLines = 100;

  const std::filesystem::path& file_;
  const PromptRules& rules_;
  bool open_ = true;   ///< no line can be told from one of another kind of file
  int lines_ = 0;      ///< so far; blank ones do not count
  std::string fault_;  ///< of the first
};

}  // namespace

PromptSurvey survey_prompts(const std::filesystem::path& file, const PromptRules& given,
                            const std::function<bool()>& stop) {
  PromptRules rules = given;
  rules.stop = stop;
  Digester digest;
  PromptSurvey survey;
  std::vector<std::uint64_t> hashes;  // what is held of each request
  PromptReader reader(file, rules, &digest);
  FormatCheck format(file, rules);
  while (const auto prompt = reader.next()) {
    if (stop && stop()) throw Cancelled();
    format.add(*prompt);
    const PromptSource& source = source_of(*prompt);
    if (source.custom_id) hashes.push_back(hash_of(*source.custom_id));
  }
  format.end();
  survey.requests = reader.position();
  survey.digest = digest.result();
  refuse_repeated(file, rules, std::move(hashes), stop);
  return survey;
}

}  // namespace weft
