// Counter-based random numbers: a value is a pure function of key and counter.
#pragma once

#include <array>
#include <cstdint>

namespace weft {

/// Philox4x32-10 of Salmon et al., "Parallel Random Numbers: As Easy as 1, 2, 3" (SC'11).
class Philox {
 public:
  using Block = std::array<std::uint32_t, 4>;

  explicit constexpr Philox(std::uint64_t key)
      : key0_(static_cast<std::uint32_t>(key)), key1_(static_cast<std::uint32_t>(key >> 32)) {}

  /// The four 32-bit words at `counter`.
  [[nodiscard]] constexpr Block operator()(Block counter) const {
    std::uint32_t k0 = key0_;
    std::uint32_t k1 = key1_;
    for (int round = 0; round < 10; ++round) {
      const std::uint64_t p0 = std::uint64_t{0xD2511F53U} * counter[0];
      const std::uint64_t p1 = std::uint64_t{0xCD9E8D57U} * counter[2];
      counter = {
          static_cast<std::uint32_t>(p1 >> 32) ^ counter[1] ^ k0, static_cast<std::uint32_t>(p1),
          static_cast<std::uint32_t>(p0 >> 32) ^ counter[3] ^ k1, static_cast<std::uint32_t>(p0)};
      k0 += 0x9E3779B9U;
      k1 += 0xBB67AE85U;
    }
    return counter;
  }

  /// The four words at the 128-bit counter (low, high).
  [[nodiscard]] constexpr Block at(std::uint64_t low, std::uint64_t high = 0) const {
    return (*this)({static_cast<std::uint32_t>(low), static_cast<std::uint32_t>(low >> 32),
                    static_cast<std::uint32_t>(high), static_cast<std::uint32_t>(high >> 32)});
  }

 private:
  std::uint32_t key0_;
  std::uint32_t key1_;
};

/// A word as a float in [0, 1): its upper 24 bits times 2^-24, exact.
constexpr float unit_float(std::uint32_t word) { return static_cast<float>(word >> 8) * 0x1p-24F; }

/// Two words as a double in [0, 1): 53 bits, exact.
constexpr double unit_double(std::uint32_t high, std::uint32_t low) {
  const std::uint64_t bits = (std::uint64_t{high} << 32 | low) >> 11;
  return static_cast<double>(bits) * 0x1p-53;
}

}  // namespace weft
