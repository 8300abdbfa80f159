// Rows that choose no expert; kernels read this, too.
#pragma once

#include <cstdint>

namespace weft {

/// What a row of padding has in place of an expert's number.
inline constexpr std::int32_t kNoExpert = -1;

}  // namespace weft
