// The pass over the whole prompt file at the start of a job.
#include <algorithm>
#include <compare>
#include <cstdint>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "app/prompts.h"
#include "base/error.h"
#include "base/stopped.h"

namespace weft {
namespace {

/// A custom_id by its hash, and where it stands: 16 bytes for each request.
struct Seen {
  std::uint64_t hash = 0;
  std::int64_t line = 0;
  auto operator<=>(const Seen&) const = default;
};

/// Lines whose ids have one hash: very probably duplicates.
struct Suspects {
  std::int64_t first = 0;
  std::int64_t second = 0;
};

/// Suspects in the order of their second line. Sorts `seen`.
std::vector<Suspects> suspects_among(std::vector<Seen>& seen) {
  std::sort(seen.begin(), seen.end());
  std::vector<Suspects> suspects;
  for (std::size_t i = 1; i < seen.size(); ++i) {
    if (seen[i].hash == seen[i - 1].hash) suspects.push_back({seen[i - 1].line, seen[i].line});
  }
  std::sort(suspects.begin(), suspects.end(),
            [](const Suspects& a, const Suspects& b) { return a.second < b.second; });
  return suspects;
}

/// The ids on two lines, from the file itself. Throws Stopped when `stop` says so.
std::pair<std::string, std::string> ids_on(const std::filesystem::path& file,
                                           const PromptRules& rules, const Suspects& suspects,
                                           const std::function<bool()>& stop) {
  std::pair<std::string, std::string> ids;
  PromptReader reader(file, rules);
  while (const auto prompt = reader.next()) {
    if (stop && stop()) throw Stopped();
    const PromptSource& source = source_of(*prompt);
    if (source.line == suspects.first) ids.first = source.custom_id.value_or("");
    if (source.line == suspects.second) {
      ids.second = source.custom_id.value_or("");
      break;
    }
  }
  return ids;
}

/// Tells a file of another kind from one with faulty lines, by its first requests.
class FormatCheck {
 public:
  FormatCheck(const std::filesystem::path& file, const PromptRules& rules)
      : file_(file), rules_(rules), open_(rules.format != InputFormat::text) {}

  /// Throws UserError at the last of the first lines, when none of them is a JSON object.
  void add(const Prompt& prompt) {
    if (!open_) return;
    const auto* const error = std::get_if<PromptError>(&prompt);
    open_ = error != nullptr && error->code == kInvalidJson;
    if (!open_) return;
    if (lines_ == 0) fault_ = error->message;
    if (++lines_ == kFirstLines) end();
  }

  /// The file ends.
  void end() const {
    if (!open_ || lines_ == 0) return;
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
  bool open_;          ///< no line can be told from one of another kind of file
  int lines_ = 0;      ///< so far; blank ones do not count
  std::string fault_;  ///< of the first
};

}  // namespace

PromptSurvey survey_prompts(const std::filesystem::path& file, const PromptRules& rules,
                            const std::function<bool()>& stop) {
  Digester digest;
  PromptSurvey survey;
  std::vector<Seen> seen;
  PromptReader reader(file, rules, &digest);
  FormatCheck format(file, rules);
  while (const auto prompt = reader.next()) {
    if (stop && stop()) throw Stopped();
    format.add(*prompt);
    const PromptSource& source = source_of(*prompt);
    if (source.custom_id) seen.push_back({digest_of(*source.custom_id).low, source.line});
  }
  format.end();
  survey.requests = reader.position();
  survey.digest = digest.result();

  const std::vector<Suspects> suspects = suspects_among(seen);
  for (const Suspects& pair : suspects) {
    const auto [first, second] = ids_on(file, rules, pair, stop);
    if (first != second) continue;  // different ids of one hash
    fail_user("{}:{}: custom_id '{}' was already given on line {}{}", file.string(), pair.second,
              first.substr(0, 100), pair.first,
              suspects.size() > 1 ? fmt::format("; {} such lines in all", suspects.size()) : "");
  }
  return survey;
}

}  // namespace weft
