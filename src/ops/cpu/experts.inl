// Experts: the choice of each row's experts, and the weighted sum of what they yield.

namespace weft {
namespace {

/// Softmax in place.
WEFT_INLINE void softmax_row(float* row, std::int64_t columns) {
  float largest = row[0];
  for (std::int64_t e = 1; e < columns; ++e) largest = row[e] > largest ? row[e] : largest;
  Vec lanes = zero();
  by_lanes(columns, [&](std::int64_t c, auto n) {
    put(row + c, exp_of(get(row + c, n) - splat(largest)), n);
    lanes = lanes + get(row + c, n);  // missing lanes are +0
  });
  const Vec sum = splat(sum_by_halving(lanes));
  by_lanes(columns, [&](std::int64_t c, auto n) { put(row + c, get(row + c, n) / sum, n); });
}

void route(const RouteTask& task) {
  const float taken = -__builtin_inff();  // no probability has this value
  for (std::int64_t m = task.rows.begin; m < task.rows.end; ++m) {
    float* const row = task.logits + m * task.logit_stride;
    float* const weights = task.weights + m * task.weight_stride;
    softmax_row(row, task.experts);
    float sum = 0;
    for (std::int64_t j = 0; j < task.chosen; ++j) {
      std::int64_t best = -1;
      for (std::int64_t e = 0; e < task.experts; ++e) {
        if (row[e] != taken && (best < 0 || row[e] > row[best])) best = e;
      }
      task.ids[m * task.chosen + j] = static_cast<std::int32_t>(best);
      weights[j] = row[best];
      sum = sum + row[best];
      row[best] = taken;
    }
    if (!task.normalise) continue;
    for (std::int64_t j = 0; j < task.chosen; ++j) weights[j] = weights[j] / sum;
  }
}

/// V vectors of 16 columns of one row.
template <int V, class N>
WEFT_INLINE void combine_columns(const CombineTask& task, std::int64_t m, std::int64_t c, N n) {
  const std::int32_t* from = task.rows_of + m * task.chosen * task.count;
  Vec total[V];
  WEFT_UNROLL for (int v = 0; v < V; ++v) total[v] = zero();
  for (std::int64_t j = 0; j < task.chosen; ++j) {
    if (*from < 0) {
      from += task.count;
      continue;
    }
    Vec stack[kMaxTreeDepth][V];
    int depth = 0;
    for (int i = 0; i < task.count; ++i) {
      const float* const part = task.parts + *from++ * task.part_stride + c;
      Vec sum[V];
      WEFT_UNROLL for (int v = 0; v < V; ++v) sum[v] = get(part + v * 16, n);
      for (int merge = task.merges[i]; merge > 0; --merge) {
        --depth;
        WEFT_UNROLL for (int v = 0; v < V; ++v) sum[v] = stack[depth][v] + sum[v];
      }
      WEFT_UNROLL for (int v = 0; v < V; ++v) stack[depth][v] = sum[v];
      ++depth;
    }
    const Vec weight = splat(task.weights[m * task.weight_stride + j]);
    WEFT_UNROLL for (int v = 0; v < V; ++v) total[v] = fma(weight, stack[0][v], total[v]);
  }
  float* const out = task.out + m * task.out_stride + c;
  WEFT_UNROLL for (int v = 0; v < V; ++v) put(out + v * 16, total[v], n);
}

void combine(const CombineTask& task) {
  for (std::int64_t m = task.rows.begin; m < task.rows.end; ++m) {
    std::int64_t c = task.columns.begin;
    for (; c + 64 <= task.columns.end; c += 64) combine_columns<4>(task, m, c, Int<16>{});
    for (; c + 16 <= task.columns.end; c += 16) combine_columns<1>(task, m, c, Int<16>{});
    if (c < task.columns.end) {
      combine_columns<1>(task, m, c, static_cast<int>(task.columns.end - c));
    }
  }
}

void add_gated(const GatedTask& task) {
  for (std::int64_t m = task.rows.begin; m < task.rows.end; ++m) {
    const Vec one = splat(1.0F);
    const Vec weight = one / (one + exp_of(negative(splat(task.gate[m * task.gate_stride]))));
    const float* const x = task.x + m * task.x_stride;
    float* const sum = task.sum + m * task.sum_stride;
    by_lanes(task.columns, [&](std::int64_t c, auto n) {
      put(sum + c, fma(weight, get(x + c, n), get(sum + c, n)), n);
    });
  }
}

}  // namespace
}  // namespace weft
