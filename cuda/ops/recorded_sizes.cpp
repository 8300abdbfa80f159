#include "cuda/ops/recorded_sizes.h"

#include <algorithm>

namespace weft {
namespace {

constexpr Bytes kSublayerBytes = Bytes{32} << 10;

/// The least of 1, 2, 3, 4, 6, 8, 12, 16 … that is not below `value`.
std::int64_t rounded_up(std::int64_t value) {
  std::int64_t power = 1;
  while (power < value) power *= 2;
  const std::int64_t between = power / 4 * 3;
  return between >= value ? between : power;
}

std::int64_t padded_rows(std::int64_t rows) {
  const std::int64_t padded = rounded_up(rows);
  // Below 16 rows all kernels take 8 rows or 16.
  if (padded > 8 && padded < 16) return 16;
  return padded == 3 ? 4 : padded == 6 ? 8 : padded;
}

}  // namespace

std::optional<StepSize> recorded_size(const StepSize& step, const StepSize& most) {
  if (step.rows <= 0 || step.table_width <= 0 ||
      step.rows > std::min(kMostRecordedRows, most.rows) || step.table_width > most.table_width) {
    return std::nullopt;
  }
  return StepSize{std::min(padded_rows(step.rows), most.rows),
                  std::min(rounded_up(step.table_width), most.table_width)};
}

Bytes device_recorder_bytes(std::int64_t sublayers, int most) {
  return static_cast<Bytes>(sublayers * most) * kSublayerBytes;
}

}  // namespace weft
