// How numbers that are not negative (columns, tokens, counts) carry one bit more: some of the
// logits that they come from are NaN or infinite. What includes this may run on devices.
#pragma once

#include <cstdint>

#include "base/elementary_inline.h"

namespace weft::hostdevice {

/// The number, marked where `odd`; taken off by `unmarked`.
WEFT_EVERYWHERE inline std::int32_t marked_if(bool odd, std::int32_t number) {
  return odd ? ~number : number;
}
WEFT_EVERYWHERE inline bool is_marked(std::int32_t number) { return number < 0; }
WEFT_EVERYWHERE inline std::int32_t unmarked(std::int32_t number) {
  return number < 0 ? ~number : number;
}

/// The token of a RankCandidate without columns: no token's mark.
inline constexpr std::int32_t kNoToken = -0x7fffffff - 1;

/// Neither NaN nor an infinity: by the bits, whatever a compiler assumes of floats.
WEFT_EVERYWHERE inline bool is_finite(float value) {
  return (bits_of(value) & 0x7f800000U) != 0x7f800000U;
}

}  // namespace weft::hostdevice
