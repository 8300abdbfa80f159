// The prompt file: one request or one error for each line, streamed. docs/reference/formats.md
// describes it.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <limits>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "app/job/job.h"
#include "app/requests/line_reader.h"
#include "base/digest.h"
#include "base/types.h"
#include "engine/request.h"
#include "text/chat/chat_template.h"

namespace weft {

/// Longest line of a prompt file.
inline constexpr Bytes kPromptLineCap = Bytes{16} << 20;

/// Longest custom_id and longest name of a model: both are kept while a request is worked on.
inline constexpr Bytes kMaxNameBytes = Bytes{16} << 10;

/// Who asks: what ties a line of the prompt file to its row of the results.
struct PromptSource {
  std::int64_t index = 0;  ///< number of the request, from 0: blank lines do not count
  std::int64_t line = 0;   ///< number of the line, from 1
  std::optional<std::string> custom_id;  ///< nothing when the line could not be read that far
};

/// Several prompts of one request: texts, or ids.
using PromptArray = std::vector<std::variant<std::string, std::vector<TokenId>>>;

/// A request that can be run.
struct PromptLine {
  PromptSource source;
  /// Text, ids to take as they are, a chat, or several of the first two.
  std::variant<std::string, std::vector<TokenId>, Conversation, PromptArray> prompt;
  SamplingParams sampling;   ///< complete, with its seed
  std::int64_t choices = 1;  ///< completions of each prompt ("n")
  bool echo = false;         ///< the answer repeats the prompt
  /// Names of special tokens in what the request holds are these tokens, not text.
  bool parse_special = false;
  bool add_special = true;  ///< a text gets what the model has around it, such as BOS
  std::string model;        ///< the request's "model", repeated in its result; may be empty
};

/// A request that cannot be run: it becomes an error row.
struct PromptError {
  PromptSource source;
  std::string message;
  std::string type = "invalid_request_error";
  std::optional<std::string> param;  ///< the parameter at fault
  std::string code = "invalid_value";
};

/// The code of a line that is not a JSON object.
inline constexpr std::string_view kInvalidJson = "invalid_json";

using Prompt = std::variant<PromptLine, PromptError>;

/// Either kind's source.
const PromptSource& source_of(const Prompt& prompt);

/// What requests are read against.
struct PromptRules {
  InputFormat format = InputFormat::openai;
  std::string field = "prompt";  ///< jsonl: the member that holds the text
  SpecialTokens special_tokens = SpecialTokens::automatic;
  SamplingParams defaults;  ///< for what a request does not set; `seed` is the job's
  /// Token ids must be below.
  std::int64_t vocab = std::numeric_limits<TokenId>::max();
  /// Asked within long lines, too: Cancelled is thrown when it says so. Lines of a request must not
  /// depend on it where several ranks read the same.
  std::function<bool()> stop = nullptr;
};

/// The rules of a job for a model of `vocab` tokens.
PromptRules prompt_rules(const Job& job, std::int64_t vocab);

/// Parses one line (without its '\n'). Never throws for what the line holds; Cancelled as the rules
/// have it.
Prompt parse_prompt(std::string_view line, PromptSource source, const PromptRules& rules);

/// The seed of a request that brings none: a digest of the job's seed and the request's id.
std::uint64_t derived_seed(std::uint64_t job_seed, std::string_view custom_id);

/// Reads a prompt file from front to back; memory does not grow with the file.
class PromptReader {
 public:
  /// Reads gzip and zstd files too, by their first bytes. Throws UserError when the file cannot be
  /// read; so do the other functions where a compressed file is damaged, or the text begins as
  /// UTF-16 does, or a file that is packed otherwise. `digest`, when given, is
  /// fed the contents as they are read, unpacked.
  PromptReader(const std::filesystem::path& file, PromptRules rules, Digester* digest = nullptr);

  /// The next request; nothing at the end of the file.
  std::optional<Prompt> next();
  /// Passes over the next request without parsing it; false at the end of the file.
  bool skip();
  /// Index of the request that `next` would return.
  [[nodiscard]] std::int64_t position() const { return index_; }
  /// Bytes of the file, unpacked, ahead of the line that was read last.
  [[nodiscard]] Bytes offset() const { return line_.offset; }

 private:
  bool advance();

  std::filesystem::path file_;
  LineReader lines_;
  PromptRules rules_;
  LineReader::Line line_;
  std::int64_t index_ = 0;
};

/// What one pass over the whole file tells.
struct PromptSurvey {
  std::int64_t requests = 0;
  Digest digest;  ///< of the contents, unpacked
};

/// Counts the requests and takes the file's digest. Throws UserError with both line numbers when
/// two requests have one custom_id, and when the first lines of a file that should hold JSON
/// objects hold none: it is another kind of file. Needs 8 bytes of memory for each request (16
/// while their list grows). `stop`, when given, is asked for every request that is read whether to
/// give up: then Cancelled is thrown.
PromptSurvey survey_prompts(const std::filesystem::path& file, const PromptRules& rules,
                            const std::function<bool()>& stop = nullptr);

}  // namespace weft
