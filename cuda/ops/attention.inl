// DeviceOps: attention over the paged cache.
#include <algorithm>
#include <cstring>

#include "cuda/kernels/attention_decode.h"
#include "cuda/kernels/attention_f32.h"
#include "cuda/kernels/attention_prefill.h"
#include "cuda/ops/device_ops.h"
#include "ops/checks.h"

namespace weft::WEFT_PLATFORM {
namespace {

/// Query heads by KV head; they must ascend together.
template <class T>
void set_groups(const HeadMap& heads, AttentionTask<T>& task) {
  require(heads.kv_heads <= kMostKvHeads && heads.query_heads <= 32767,
          "attention: {} query heads and {} KV heads on one GPU", heads.query_heads,
          heads.kv_heads);
  std::int64_t query = 0;
  for (std::int64_t head = 0; head < heads.kv_heads; ++head) {
    task.group_begin[head] = static_cast<std::int16_t>(query);
    while (query < heads.query_heads && heads.kv_head_of[static_cast<std::size_t>(query)] == head) {
      ++query;
    }
  }
  require(query == heads.query_heads, "attention: query heads are not in the order of KV heads");
  task.group_begin[heads.kv_heads] = static_cast<std::int16_t>(query);
  task.kv_heads = static_cast<std::int32_t>(heads.kv_heads);
}

template <class T>
AttentionTask<T> task_of(const Tensor& q, const HeadMap& heads, const BatchView& batch,
                         const KvLayer& cache, float scale, std::int64_t window,
                         const Tensor& out) {
  AttentionTask<T> task{};
  task.q = {reinterpret_cast<const T*>(q.data()), q.row_stride()};
  task.out = {reinterpret_cast<T*>(out.data()), out.row_stride()};
  task.positions = batch.positions.as<std::int32_t>();
  task.query_begin = batch.query_begin.as<std::int32_t>();
  task.block_table = {batch.block_table.as<std::int32_t>(), batch.block_table.row_stride()};
  task.cache = device_cache(cache);
  task.scale = scale;
  task.window = static_cast<std::int32_t>(std::min<std::int64_t>(window, 0x7fffffff));
  task.sequences = static_cast<std::int32_t>(batch.query_begin.elements() - 1);
  task.row_begin = 0;
  task.row_end = static_cast<std::int32_t>(q.rows());
  set_groups(heads, task);
  return task;
}

}  // namespace

void DeviceOps::attention(const Tensor& q, const HeadMap& heads, const BatchView& batch,
                          const KvLayer& cache, float scale, std::int64_t window,
                          const Tensor& out) {
  checks::attention(q, heads, batch, cache, window, out);
  if (q.rows() == 0 || heads.query_heads == 0) return;
  if (q.dtype() == DType::f32) {
    const auto task = task_of<float>(q, heads, batch, cache, scale, window, out);
    constexpr int kWarps = AttentionF32::kThreads / 32;
    return runtime_.launch("attention_f32",
                           Grid{ceil_div(q.rows() * heads.query_heads, kWarps), 1, 1},
                           AttentionF32::kThreads, AttentionF32::shared_bytes(heads.head_dim),
                           AttentionF32{task, q.rows()});
  }
  const auto task = task_of<Bf16>(q, heads, batch, cache, scale, window, out);
  const std::int64_t table_width = batch.block_table.row_elements();
  switch (task.cache.width) {
    case 32:
      return attention_bf16<32>(task, q.rows(), table_width);
    case 64:
      return attention_bf16<64>(task, q.rows(), table_width);
    case 96:
      return attention_bf16<96>(task, q.rows(), table_width);
    case 128:
      return attention_bf16<128>(task, q.rows(), table_width);
    case 256:
      return attention_bf16<256>(task, q.rows(), table_width);
    default:
      fail("attention: a cache of width {}", task.cache.width);
  }
}

template <int W>
void DeviceOps::attention_bf16(const AttentionTask<std::uint16_t>& task, std::int64_t rows,
                               std::int64_t table_width) {
  std::int64_t group = 1;
  for (int head = 0; head < task.kv_heads; ++head) {
    group = std::max<std::int64_t>(group, task.group_begin[head + 1] - task.group_begin[head]);
  }
  // Where the rows lie is known on the device only: grids are for the most pieces there can be.
  const auto pieces = [&](std::int64_t some_rows, std::int64_t height) {
    return some_rows * group / height + std::min<std::int64_t>(task.sequences, some_rows * group);
  };
  BlockResults results;
  results.width = W;
  results.blocks = static_cast<std::int32_t>(std::max<std::int64_t>(
      1, ceil_div(table_width * task.cache.block_tokens, std::int64_t{kKeyBlock})));
  const std::int64_t heads = task.group_begin[task.kv_heads];
  const std::int64_t floats_of_row = heads * results.floats_of_query();
  const std::int64_t room = static_cast<std::int64_t>(runtime_.scratch_bytes() / sizeof(float));
  const bool one_block = results.blocks == 1;
  // Rows whose results fit.
  const std::int64_t slice = one_block ? rows : std::min(rows, room / floats_of_row);
  const std::int64_t many_pieces = pieces(rows, AttentionPrefill<W>::kHeight);
  const bool mostly_decodes = rows <= std::int64_t{4} * task.sequences;
  const bool idle = many_pieces * task.kv_heads < std::int64_t{2} * runtime_.multiprocessors();
  if (slice == 0 || !(mostly_decodes || (idle && slice == rows))) {
    const bool overlapped = AttentionPrefill<W>::shared_bytes(true) <= runtime_.shared_bytes();
    return runtime_.launch(
        "attention_prefill", Grid{many_pieces, task.kv_heads, 1}, AttentionPrefill<W>::kThreads,
        AttentionPrefill<W>::shared_bytes(overlapped), AttentionPrefill<W>{task, overlapped});
  }
  if (!one_block) {
    results.sums = reinterpret_cast<float*>(scratch());
    results.scales = results.sums + slice * heads * results.blocks * W;
  }
  constexpr int kWarps = AttendBlocks<W>::kThreads / 32;
  for (std::int64_t begin = 0; begin < rows; begin += slice) {
    AttentionTask<std::uint16_t> part = task;
    part.row_begin = static_cast<std::int32_t>(begin);
    part.row_end = static_cast<std::int32_t>(std::min(begin + slice, rows));
    const std::int64_t part_rows = part.row_end - part.row_begin;
    runtime_.launch("attend_blocks",
                    Grid{pieces(part_rows, BlockResults::kRows), task.kv_heads,
                         ceil_div(results.blocks, kWarps)},
                    AttendBlocks<W>::kThreads, 0, AttendBlocks<W>{part, results});
    if (one_block) continue;
    runtime_.launch(
        "merge_blocks",
        Grid{ceil_div(part_rows * heads, std::int64_t{MergeBlocks::kThreads / 32}), 1, 1},
        MergeBlocks::kThreads, 0, MergeBlocks{part, results});
  }
}

}  // namespace weft::WEFT_PLATFORM
