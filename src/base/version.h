// Which weft this is.
#pragma once

#include <string_view>

namespace weft {

inline constexpr std::string_view kVersion = "0.1.0";

/// Version of the numerics contract (docs/numerics.md): with another one, other bits. 2: products
/// of bf16 flush denormal numbers.
inline constexpr int kContractVersion = 2;

/// Models were written for versions from this one on: their segments and names are today's.
inline constexpr int kOldestModelContract = 1;

}  // namespace weft
