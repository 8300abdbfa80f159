// What is asked of rows of logits when tokens are chosen.
#include <algorithm>
#include <limits>

#include "ops/checks.h"
#include "ops/cpu/cpu_ops.h"

namespace weft {

void CpuOps::block_maxima(const Tensor& logits, const Tensor& values, const Tensor& columns) {
  checks::block_maxima(logits, values, columns);
  if (logits.elements() == 0) return;
  MaximaTask task;
  task.logits = logits.as<float>();
  task.stride = logits.row_stride();
  task.columns = logits.row_elements();
  task.values = values.as<float>();
  task.values_stride = values.row_stride();
  task.at = columns.as<std::int32_t>();
  task.at_stride = columns.row_stride();
  spread(logits.rows(), logits.elements(), [&](int, Range rows) {
    MaximaTask mine = task;
    mine.rows = rows;
    kernels_.block_maxima(mine);
  });
}

void CpuOps::block_weight_sums(const Tensor& logits, const Tensor& values,
                               const WeightSumQuery& query, const Tensor& weight_sums) {
  checks::block_weight_sums(logits, values, query, weight_sums);
  if (logits.elements() == 0) return;
  WeightSumTask task;
  task.logits = logits.as<float>();
  task.stride = logits.row_stride();
  task.columns = logits.row_elements();
  task.values = values.as<float>();
  task.values_stride = values.row_stride();
  task.scales = query.scales.as<float>();
  task.before = query.before.as<float>();
  task.behind = query.behind.as<float>();
  task.splits = query.splits.as<std::int32_t>();
  task.weight_sums = weight_sums.as<float>();
  task.weight_sums_stride = weight_sums.row_stride();
  task.rows = {0, logits.rows()};
  task.blocks = {0, values.row_elements()};
  // By runs of blocks: rows that are passed over, or nearly, would leave a thread without work.
  spread(values.row_elements(), logits.elements() * 4, [&](int, Range blocks) {
    WeightSumTask mine = task;
    mine.blocks = blocks;
    kernels_.block_weight_sums(mine);
  });
}

void CpuOps::gather_blocks(const Tensor& x, const Tensor& rows, const Tensor& blocks,
                           const Tensor& out) {
  checks::gather_blocks(x, rows, blocks, out);
  constexpr std::int64_t kBlock = 256;
  for (std::int64_t i = 0; i < out.rows(); ++i) {
    const std::int64_t first = blocks.as<std::int32_t>()[i] * kBlock;
    const std::int64_t width = std::min(kBlock, x.row_elements() - first);
    const float* const from = x.as<float>() + rows.as<std::int32_t>()[i] * x.row_stride() + first;
    float* const to = out.as<float>() + i * kBlock;
    std::copy_n(from, width, to);
    std::fill(to + width, to + kBlock, -std::numeric_limits<float>::infinity());
  }
}

void CpuOps::get_elements(const Tensor& x, const Tensor& rows, const Tensor& columns,
                          const Tensor& out) {
  checks::elements(x, rows, columns, out);
  for (std::int64_t i = 0; i < out.rows(); ++i) {
    out.as<float>()[i] =
        x.as<float>()[rows.as<std::int32_t>()[i] * x.row_stride() + columns.as<std::int32_t>()[i]];
  }
}

void CpuOps::put_elements(const Tensor& values, const Tensor& rows, const Tensor& columns,
                          const Tensor& x) {
  checks::elements(x, rows, columns, values);
  for (std::int64_t i = 0; i < values.rows(); ++i) {
    x.as<float>()[rows.as<std::int32_t>()[i] * x.row_stride() + columns.as<std::int32_t>()[i]] =
        values.as<float>()[i];
  }
}

}  // namespace weft
