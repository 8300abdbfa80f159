#include "model/files/finite.h"

#include <cmath>
#include <cstdint>
#include <cstring>
#include <string>

#include "base/error.h"

namespace weft {
namespace {

/// An unaligned value.
template <class T>
T load(std::span<const std::byte> values, std::size_t i) {
  T value;
  std::memcpy(&value, values.data() + i * sizeof value, sizeof value);
  return value;
}

/// Whether some of the values have an exponent of ones only. Compilers make vectors of it.
template <class T>
bool any_odd(std::span<const std::byte> values, T exponent) {
  unsigned odd = 0;
  const std::size_t count = values.size() / sizeof(T);
  for (std::size_t i = 0; i < count; ++i) {
    odd |= static_cast<unsigned>((load<T>(values, i) & exponent) == exponent);
  }
  return odd != 0;
}

float value_at(std::span<const std::byte> values, DType dtype, std::size_t i) {
  return dtype == DType::bf16 ? f32_from_bf16(load<std::uint16_t>(values, i))
                              : load<float>(values, i);
}

[[noreturn]] void refuse(const TensorSpec& tensor, std::int64_t row, std::int64_t column,
                         DType dtype, float value) {
  std::string title = tensor.name;
  if (tensor.experts > 0) {
    title = name_in_checkpoint(tensor, row / tensor.rows_of_expert());
    row %= tensor.rows_of_expert();
  }
  const std::string index =
      tensor.shape.size() > 1 ? fmt::format("{}, {}", row, column) : std::to_string(row);
  fail_user("tensor {}: element [{}] is {} as {}: weights must be finite numbers", title, index,
            std::isnan(value) ? "NaN"
            : value > 0       ? "infinity"
                              : "-infinity",
            name(dtype));
}

}  // namespace

void check_finite(const TensorSpec& tensor, Range rows, Range columns, DType dtype,
                  std::span<const std::byte> values) {
  require(values.size() == static_cast<std::size_t>(rows.size() * columns.size()) * size_of(dtype),
          "{}: {} bytes for {} rows", tensor.name, values.size(), rows.size());
  const bool odd = dtype == DType::bf16 ? any_odd<std::uint16_t>(values, 0x7f80U)
                                        : any_odd<std::uint32_t>(values, 0x7f800000U);
  if (!odd) return;
  for (std::int64_t i = 0;; ++i) {
    const float value = value_at(values, dtype, static_cast<std::size_t>(i));
    if (std::isfinite(value)) continue;
    refuse(tensor, rows.begin + i / columns.size(), columns.begin + i % columns.size(), dtype,
           value);
  }
}

}  // namespace weft
