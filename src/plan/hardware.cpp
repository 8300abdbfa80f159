#include "plan/hardware.h"

#include <algorithm>

namespace weft {

double Roofline::product(double rows, double outputs, double inputs, DType dtype) const {
  const double elements = outputs * inputs;
  return std::max(elements * static_cast<double>(size_of(dtype)) / limits_.read_bytes_per_second,
                  2 * rows * elements / limits_.flops_per_second);
}

double Roofline::attention(const AttentionLoad& load, double kv_columns, double query_columns,
                           DType dtype) const {
  const double bytes = 2 * kv_columns * load.keys * static_cast<double>(size_of(dtype));
  return std::max(bytes / limits_.read_bytes_per_second,
                  4 * load.pairs * query_columns / limits_.flops_per_second);
}

double Roofline::communication(Operation /*operation*/, int /*ranks*/, double calls, double sent,
                               double received, bool within_node) const {
  const bool known = limits_.between_bytes_per_second > 0;
  const double rate =
      within_node || !known ? limits_.link_bytes_per_second : limits_.between_bytes_per_second;
  return calls * limits_.call_seconds + std::max(sent, received) / rate;
}

}  // namespace weft
