// Sizes of a launch, and the words that kernels move.
#pragma once

#include <cstddef>
#include <cstdint>

namespace weft {

/// Blocks of a launch.
struct Grid {
  std::int64_t x = 1;
  std::int64_t y = 1;
  std::int64_t z = 1;

  [[nodiscard]] std::int64_t blocks() const { return x * y * z; }
};

/// Whether a kernel waits itself for the one before it (cuda/platform/lane.h).
template <class Kernel>
inline constexpr bool kWaitsItself = requires {
  requires Kernel::kWaits;
};
/// Whether a kernel writes what others read before they wait: it has ended when the next begins.
template <class Kernel>
inline constexpr bool kWritesWeights = requires {
  requires Kernel::kPacks;
};

/// Four 32-bit words, moved by one instruction.
struct alignas(16) Words4 {
  std::uint32_t at[4];
};

}  // namespace weft
