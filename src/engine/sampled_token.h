// What choosing a token from a row of logits yields.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "base/digest.h"
#include "engine/request.h"

namespace weft {

/// What a row of logits yields. It depends on the request and the logits alone; ranks that did not
/// compute the row are told it.
struct SampledToken {
  TokenId token = 0;
  Digest row_digest;  ///< of the raw logits; zero when no digests were asked for
  std::optional<PositionLogprobs> logprobs;  ///< when the request asked for them
  /// Some raw logit is NaN or infinite: the token, and its log-probability, mean nothing.
  bool non_finite = false;

  /// Appends it to a message, as bytes of this machine.
  void append_to(std::string& bytes) const;
  /// The reverse: takes it from the message's front. Throws Error when bytes are missing.
  static SampledToken read_from(std::string_view& bytes);
  bool operator==(const SampledToken&) const = default;
};

}  // namespace weft
