// Which weft this is.
#pragma once

#include <string_view>

namespace weft {

inline constexpr std::string_view kVersion = "0.1.0";

/// Version of the numerics contract (docs/internals/numerics.md): with another one, other bits. 2:
/// products of bf16 flush denormal numbers. 3: draws depend on the prompt.
inline constexpr int kContractVersion = 3;

/// The latest of its versions that changed what model files depend on: how products are cut.
inline constexpr int kModelContractVersion = 1;

}  // namespace weft
