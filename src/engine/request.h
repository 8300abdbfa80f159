// What goes into the engine and what comes out of it: token ids, no text and no files.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/digest.h"
#include "base/types.h"

namespace weft {

/// How a token is chosen from logits. Field names and defaults are those of the OpenAI
/// completions API and of vLLM's extensions to it.
struct SamplingParams {
  double temperature = 1;  ///< 0 means greedy
  double top_p = 1;        ///< (0, 1]
  std::int64_t top_k = 0;  ///< 0: no limit
  double min_p = 0;        ///< [0, 1]
  std::uint64_t seed = 0;  ///< always set: the request's own or a hash of job seed and custom_id
  std::int64_t max_tokens = 16;
  std::int64_t min_tokens = 0;  ///< stops are not looked at before that many tokens
  bool ignore_eos = false;
  std::vector<TokenId> stop_token_ids;
  std::vector<std::string> stop;  ///< stop strings, looked for in the decoded text

  [[nodiscard]] bool greedy() const { return temperature == 0; }
};

/// One prompt to complete.
struct Request {
  std::int64_t index = 0;  ///< place in the prompt file: the order of the results
  std::vector<TokenId> prompt;
  SamplingParams sampling;
};

enum class FinishReason {
  stop,    ///< an end token, stop id or stop string
  length,  ///< max_tokens, or the longest sequence the engine allows
};
std::string_view name(FinishReason reason);

/// A finished request.
struct Completion {
  std::int64_t index = 0;
  std::vector<TokenId> tokens;  ///< generated tokens, without the end token that stopped it
  FinishReason reason = FinishReason::length;
  /// Bytes of the decoded text that are kept when a stop string was found; -1 otherwise.
  std::int64_t text_bytes = -1;
  Digest logits_digest;  ///< meaningful when the engine was asked for digests
  std::int64_t prompt_tokens = 0;
  std::int64_t completion_tokens = 0;  ///< all generated ones, the end token included
  // Seconds since the engine started.
  double queued_at = 0;
  double first_token_at = 0;
  double finished_at = 0;
};

}  // namespace weft
