// DeviceOps: logits, and keys and values on their way to other ranks.
#include "cuda/kernels/logits.h"
#include "cuda/kernels/qkv.h"
#include "cuda/ops/device_ops.h"
#include "cuda/ops/views.h"
#include "ops/checks.h"

namespace weft::WEFT_PLATFORM {

void DeviceOps::block_weight_sums(const Tensor& logits, const Tensor& values,
                                  const WeightSumQuery& query, const Tensor& weight_sums) {
  checks::block_weight_sums(logits, values, query, weight_sums);
  constexpr int kWarps = BlockWeightSums::kThreads / 32;
  runtime_.launch(
      "block_masses",
      row_grid(logits.row_elements(), kWarps * BlockWeightSums::kColumns, logits.rows()),
      BlockWeightSums::kThreads, 0,
      BlockWeightSums{rows_of<const float>(logits), rows_of<const float>(values),
                      data_of<float>(query.scales), data_of<float>(query.before),
                      data_of<float>(query.behind), data_of<std::int32_t>(query.splits),
                      rows_of<float>(weight_sums), logits.rows(), logits.row_elements()});
}

void DeviceOps::gather_blocks(const Tensor& x, const Tensor& rows, const Tensor& blocks,
                              const Tensor& out) {
  checks::gather_blocks(x, rows, blocks, out);
  runtime_.launch(
      "gather_blocks", Grid{out.rows(), 1, 1}, GatherBlocks::kThreads, 0,
      GatherBlocks{rows_of<const float>(x), data_of<std::int32_t>(rows),
                   data_of<std::int32_t>(blocks), rows_of<float>(out).data, x.row_elements()});
}

void DeviceOps::get_elements(const Tensor& x, const Tensor& rows, const Tensor& columns,
                             const Tensor& out) {
  checks::elements(x, rows, columns, out);
  runtime_.launch(
      "get_elements", row_grid(out.rows(), kRowThreads, 1), kRowThreads, 0,
      MoveElements{rows_of<float>(x), data_of<std::int32_t>(rows), data_of<std::int32_t>(columns),
                   rows_of<float>(out).data, out.rows(), false});
}

void DeviceOps::put_elements(const Tensor& values, const Tensor& rows, const Tensor& columns,
                             const Tensor& x) {
  checks::elements(x, rows, columns, values);
  runtime_.launch(
      "put_elements", row_grid(values.rows(), kRowThreads, 1), kRowThreads, 0,
      MoveElements{rows_of<float>(x), data_of<std::int32_t>(rows), data_of<std::int32_t>(columns),
                   rows_of<float>(values).data, values.rows(), true});
}

void DeviceOps::move_kv(const KvLayer& cache, const Tensor& slots, const Tensor& rows, bool write) {
  if (slots.elements() == 0) return;
  const std::int64_t columns = 2 * cache.heads * cache.head_dim;
  with_type(cache.dtype, [&](auto element) {
    using T = decltype(element);
    runtime_.launch(write ? "write_kv" : "read_kv",
                    row_grid(columns, MoveKv<T>::kThreads, slots.elements()), MoveKv<T>::kThreads,
                    0,
                    MoveKv<T>{device_cache(cache), data_of<std::int32_t>(slots), rows_of<T>(rows),
                              slots.elements(), columns, write});
  });
}

void DeviceOps::read_kv(const KvLayer& cache, const Tensor& slots, const Tensor& out) {
  checks::kv_rows("read_kv", cache, slots, out);
  move_kv(cache, slots, out, false);
}

void DeviceOps::write_kv(const Tensor& from, const Tensor& slots, const KvLayer& cache) {
  checks::kv_rows("write_kv", cache, slots, from);
  move_kv(cache, slots, from, true);
}

}  // namespace weft::WEFT_PLATFORM
