// Which weft this is.
#pragma once

#include <string_view>

namespace weft {

inline constexpr std::string_view kVersion = "0.1.0";

/// Version of the numerics contract (docs/numerics.md): with another one, other bits.
inline constexpr int kContractVersion = 1;

}  // namespace weft
