// Attention on CPUs: division into items of some rows of one sequence and one KV head.
#include <algorithm>

#include "base/progress_counter.h"
#include "ops/checks.h"
#include "ops/cpu/cpu_ops.h"

namespace weft {
namespace {

/// Query heads by the KV head that they share.
class HeadGroups {
 public:
  explicit HeadGroups(const HeadMap& heads) : begins_{0} {
    for (std::int32_t kv = 0; kv < heads.kv_heads; ++kv) {
      for (std::int32_t q = 0; q < heads.query_heads; ++q) {
        if (heads.kv_head_of[static_cast<std::size_t>(q)] == kv) heads_.push_back(q);
      }
      begins_.push_back(heads_.size());
    }
  }

  [[nodiscard]] std::span<const std::int32_t> of(std::int64_t kv_head) const {
    const auto i = static_cast<std::size_t>(kv_head);
    return std::span(heads_).subspan(begins_[i], begins_[i + 1] - begins_[i]);
  }

 private:
  std::vector<std::int32_t> heads_;
  std::vector<std::size_t> begins_;
};

/// Where a slot's keys and values of head 0 begin: keys stand transposed in groups of kKeyGroup
/// tokens, values row by row behind all keys of the block.
template <class T>
struct KvPlace {
  KvPlace(const KvLayer& cache, std::int32_t slot) {
    const std::int64_t token = slot % cache.block_tokens;
    const std::int64_t kv_block = slot / cache.block_tokens;
    T* const base =
        reinterpret_cast<T*>(cache.data + static_cast<Bytes>(kv_block) * cache.block_bytes);
    key = base + (token / kKeyGroup) * kKeyGroup * cache.head_dim + token % kKeyGroup;
    value = base + (cache.block_tokens + token) * cache.head_dim;
    head_stride = 2 * cache.block_tokens * cache.head_dim;
  }
  T* key;    ///< element d at key[d * kKeyGroup]
  T* value;  ///< element d at value[d]
  std::int64_t head_stride;
};

/// Calls `body(row, place)` for each of the slots.
template <class T, class Body>
void for_slots(const KvLayer& cache, const Tensor& slots, Range rows, const Body& body) {
  for (std::int64_t m = rows.begin; m < rows.end; ++m) {
    body(m, KvPlace<T>(cache, slots.as<std::int32_t>()[m]));
  }
}

template <class T>
void read_rows(const KvLayer& cache, const Tensor& slots, const Tensor& out, Range rows) {
  const std::int64_t dim = cache.head_dim;
  for_slots<T>(cache, slots, rows, [&](std::int64_t m, const KvPlace<T>& place) {
    T* const keys = reinterpret_cast<T*>(out.data()) + m * out.row_stride();
    T* const values = keys + cache.heads * dim;
    for (std::int64_t h = 0; h < cache.heads; ++h) {
      const T* const key = place.key + h * place.head_stride;
      for (std::int64_t d = 0; d < dim; ++d) keys[h * dim + d] = key[d * kKeyGroup];
      std::copy_n(place.value + h * place.head_stride, dim, values + h * dim);
    }
  });
}

template <class T>
void write_rows(const Tensor& from, const Tensor& slots, const KvLayer& cache, Range rows) {
  const std::int64_t dim = cache.head_dim;
  for_slots<T>(cache, slots, rows, [&](std::int64_t m, const KvPlace<T>& place) {
    const T* const keys = reinterpret_cast<const T*>(from.data()) + m * from.row_stride();
    const T* const values = keys + cache.heads * dim;
    for (std::int64_t h = 0; h < cache.heads; ++h) {
      T* const key = place.key + h * place.head_stride;
      for (std::int64_t d = 0; d < dim; ++d) key[d * kKeyGroup] = keys[h * dim + d];
      std::copy_n(values + h * dim, dim, place.value + h * place.head_stride);
    }
  });
}

}  // namespace

void CpuOps::read_kv(const KvLayer& cache, const Tensor& slots, const Tensor& out) {
  checks::kv_rows("read_kv", cache, slots, out);
  spread(slots.elements(), out.elements(), [&](int, Range rows) {
    if (cache.dtype == DType::bf16) {
      read_rows<std::uint16_t>(cache, slots, out, rows);
    } else {
      read_rows<float>(cache, slots, out, rows);
    }
  });
}

void CpuOps::write_kv(const Tensor& from, const Tensor& slots, const KvLayer& cache) {
  checks::kv_rows("write_kv", cache, slots, from);
  spread(slots.elements(), from.elements(), [&](int, Range rows) {
    if (cache.dtype == DType::bf16) {
      write_rows<std::uint16_t>(from, slots, cache, rows);
    } else {
      write_rows<float>(from, slots, cache, rows);
    }
  });
}

void CpuOps::attention(const Tensor& q, const HeadMap& heads, const BatchView& batch,
                       const KvLayer& cache, float scale, std::int64_t window, const Tensor& out) {
  checks::attention(q, heads, batch, cache, window, out);
  if (q.elements() == 0) return;
  const HeadGroups groups(heads);
  const std::int64_t thread_floats = attention_scratch(heads.head_dim);
  float* const scratch = workspace(threads_ * thread_floats);

  AttentionTask common;
  common.q = q.data();
  common.q_stride = q.row_stride();
  common.positions = batch.positions.as<std::int32_t>();
  common.head_dim = heads.head_dim;
  common.block_bytes = cache.block_bytes;
  common.block_tokens = cache.block_tokens;
  common.scale = scale;
  common.window = window;
  common.out = out.data();
  common.out_stride = out.row_stride();
  common.bf16 = q.dtype() == DType::bf16;
  const Bytes head_bytes =
      static_cast<Bytes>(2 * cache.block_tokens * cache.head_dim) * size_of(cache.dtype);

  attention_.clear();
  const std::int32_t* const query_begin = batch.query_begin.as<std::int32_t>();
  std::int64_t work = 0;
  for (std::int64_t b = 0; b + 1 < batch.query_begin.elements(); ++b) {
    AttentionTask task = common;
    task.kv_blocks = batch.block_table.as<std::int32_t>() + b * batch.block_table.row_stride();
    for (std::int64_t kv = 0; kv < heads.kv_heads; ++kv) {
      task.cache = cache.data + static_cast<Bytes>(kv) * head_bytes;
      const std::span<const std::int32_t> group = groups.of(kv);
      for (std::size_t first = 0; first < group.size(); first += kMaxQueries) {
        const auto some =
            group.subspan(first, std::min<std::size_t>(kMaxQueries, group.size() - first));
        task.heads = some.data();
        task.head_count = static_cast<std::int64_t>(some.size());
        const std::int64_t tile = std::max<std::int64_t>(1, kMaxQueries / task.head_count);
        // Last rows first: they see the most keys.
        for (std::int64_t end = query_begin[b + 1]; end > query_begin[b]; end -= tile) {
          task.rows = {std::max<std::int64_t>(query_begin[b], end - tile), end};
          attention_.push_back(task);
          work +=
              task.rows.size() * task.head_count * heads.head_dim * (common.positions[end - 1] + 1);
        }
      }
    }
  }

  const auto items = static_cast<std::int64_t>(attention_.size());
  const auto run = [&](std::int64_t i, int thread) {
    AttentionTask& task = attention_[static_cast<std::size_t>(i)];
    task.scratch = scratch + thread * thread_floats;
    kernels_.attention(task);
    count_progress();  // a long prompt's attention alone can take minutes
  };
  if (threads_ == 1 || items == 1 || work < kSerialWork) {
    for (std::int64_t i = 0; i < items; ++i) run(i, 0);
    return;
  }
#pragma omp parallel for schedule(dynamic, 1) num_threads(threads_)
  for (std::int64_t i = 0; i < items; ++i) run(i, omp_get_thread_num());
}

}  // namespace weft
