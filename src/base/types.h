// The small vocabulary types that every floor shares.
#pragma once

#include <cstdint>

namespace weft {

/// Index of a token in the model's vocabulary.
using TokenId = std::int32_t;

/// A size in bytes.
using Bytes = std::uint64_t;

/// A half-open range [begin, end) of rows, heads, blocks, segments, ….
struct Range {
  std::int64_t begin = 0;
  std::int64_t end = 0;

  [[nodiscard]] std::int64_t size() const { return end - begin; }
  [[nodiscard]] bool empty() const { return end <= begin; }
  [[nodiscard]] bool contains(std::int64_t i) const { return i >= begin && i < end; }
  bool operator==(const Range&) const = default;
};

/// Smallest integer that is at least a / b, for a >= 0 and b > 0.
constexpr std::int64_t ceil_div(std::int64_t a, std::int64_t b) { return (a + b - 1) / b; }

/// Smallest multiple of b that is at least a, for a >= 0 and b > 0.
constexpr std::int64_t round_up(std::int64_t a, std::int64_t b) { return ceil_div(a, b) * b; }

}  // namespace weft
