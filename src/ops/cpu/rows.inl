// Operators that work row by row: norms, rotary embedding, SwiGLU, tree sums, maxima.

namespace weft {
namespace {

/// 1 / sqrt(mean of squares + eps).
WEFT_INLINE float inverse_rms(const float* x, std::int64_t columns, float eps) {
  Vec sum = zero();
  by_lanes(columns, [&](std::int64_t c, auto n) {
    const Vec a = get(x + c, n);
    sum = fma(a, a, sum);
  });
  const float mean = sum_by_halving(sum) / static_cast<float>(columns);
  return 1.0F / __builtin_sqrtf(mean + eps);
}

template <class T>
void rms_norm_to(const NormTask& task) {
  for (std::int64_t m = task.rows.begin; m < task.rows.end; ++m) {
    const float* const x = task.x + m * task.x_stride;
    T* const out = reinterpret_cast<T*>(task.out) + m * task.out_stride;
    const Vec r = splat(inverse_rms(x, task.columns, task.eps));
    by_lanes(task.columns, [&](std::int64_t c, auto n) {
      put(out + c, (get(x + c, n) * r) * get(task.weight + c, n), n);
    });
  }
}

void rms_norm(const NormTask& task) {
  if (task.bf16) {
    rms_norm_to<std::uint16_t>(task);
  } else {
    rms_norm_to<float>(task);
  }
}

template <class T>
void swiglu_to(const SwigluTask& task) {
  const Vec one = splat(1.0F);
  for (std::int64_t m = task.rows.begin; m < task.rows.end; ++m) {
    const float* const gate = task.gate_up + m * task.in_stride;
    const float* const up = gate + task.features;
    T* const out = reinterpret_cast<T*>(task.out) + m * task.out_stride;
    by_lanes(task.features, [&](std::int64_t c, auto n) {
      const Vec g = get(gate + c, n);
      put(out + c, (g / (one + exp_of(negative(g)))) * get(up + c, n), n);
    });
  }
}

void swiglu(const SwigluTask& task) {
  if (task.bf16) {
    swiglu_to<std::uint16_t>(task);
  } else {
    swiglu_to<float>(task);
  }
}

/// (x * r) * weight in place, r from the head's own RMS.
WEFT_INLINE void norm_head(float* x, const float* weight, std::int64_t columns, float eps) {
  const Vec r = splat(inverse_rms(x, columns, eps));
  by_lanes(columns, [&](std::int64_t c, auto n) {
    put(x + c, (get(x + c, n) * r) * get(weight + c, n), n);
  });
}

/// Rotates the pairs (x[j], x[j + half]) in place.
WEFT_INLINE void rotate_head(float* x, const float* cosines, const float* sines,
                             std::int64_t half) {
  by_lanes(half, [&](std::int64_t c, auto n) {
    const Vec a = get(x + c, n);
    const Vec b = get(x + half + c, n);
    const Vec cosine = get(cosines + c, n);
    const Vec sine = get(sines + c, n);
    put(x + c, fma(a, cosine, negative(b * sine)), n);
    put(x + half + c, fma(b, cosine, a * sine), n);
  });
}

template <class T>
void round_head(const float* x, T* out, std::int64_t columns) {
  by_lanes(columns, [&](std::int64_t c, auto n) { put(out + c, get(x + c, n), n); });
}

/// One row of finish_qkv.
template <class T>
void finish_row(const FinishTask& task, std::int64_t m) {
  const std::int64_t dim = task.head_dim;
  float* const row = task.qkv + m * task.qkv_stride;
  if (task.bias != nullptr) {
    by_lanes((task.query_heads + 2 * task.kv_heads) * dim, [&](std::int64_t c, auto n) {
      put(row + c, get(row + c, n) + get(task.bias + c, n), n);
    });
  }
  const auto turn = [&](float* head, const float* norm) {
    if (norm != nullptr) norm_head(head, norm, dim, task.norm_eps);
    if (task.cosines != nullptr) {
      rotate_head(head, task.cosines + m * task.cosine_stride, task.sines + m * task.sine_stride,
                  dim / 2);
    }
  };
  T* const q = reinterpret_cast<T*>(task.q) + m * task.q_stride;
  for (std::int64_t h = 0; h < task.query_heads; ++h) {
    turn(row + h * dim, task.q_norm);
    round_head(row + h * dim, q + h * dim, dim);
  }
  if (task.slots[m] < 0) return;
  const std::int64_t token = task.slots[m] % task.block_tokens;
  const std::int64_t kv_block = task.slots[m] / task.block_tokens;
  T* const base =
      reinterpret_cast<T*>(task.cache + static_cast<std::uint64_t>(kv_block) * task.block_bytes);
  T* const rounded = reinterpret_cast<T*>(task.scratch);
  for (std::int64_t h = 0; h < task.kv_heads; ++h) {
    float* const key = row + (task.query_heads + h) * dim;
    const float* const value = key + task.kv_heads * dim;
    T* const head = base + h * 2 * task.block_tokens * dim;
    turn(key, task.k_norm);
    round_head(key, rounded, dim);
    T* const group = head + (token / kKeyGroup) * kKeyGroup * dim + token % kKeyGroup;
    for (std::int64_t d = 0; d < dim; ++d) group[d * kKeyGroup] = rounded[d];
    round_head(value, head + (task.block_tokens + token) * dim, dim);
  }
}

void finish_qkv(const FinishTask& task) {
  for (std::int64_t m = task.rows.begin; m < task.rows.end; ++m) {
    if (task.bf16) {
      finish_row<std::uint16_t>(task, m);
    } else {
      finish_row<float>(task, m);
    }
  }
}

/// The tree over V vectors of 16 columns at once.
template <int V, class N>
WEFT_INLINE void add_columns(const TreeTask& task, std::int64_t m, std::int64_t c, N n) {
  Vec stack[kMaxTreeDepth][V];
  int depth = 0;
  for (int i = 0; i < task.count; ++i) {
    Vec sum[V];
    WEFT_UNROLL for (int v = 0; v < V; ++v) {
      sum[v] = get(task.parts[i] + m * task.strides[i] + c + v * 16, n);
    }
    for (int merge = task.merges[i]; merge > 0; --merge) {
      --depth;
      WEFT_UNROLL for (int v = 0; v < V; ++v) sum[v] = stack[depth][v] + sum[v];
    }
    WEFT_UNROLL for (int v = 0; v < V; ++v) stack[depth][v] = sum[v];
    ++depth;
  }
  float* const residual = task.residual + m * task.residual_stride + c;
  WEFT_UNROLL for (int v = 0; v < V; ++v) {
    Vec root = stack[0][v];
    if (task.bias != nullptr) root = root + get(task.bias + c + v * 16, n);
    put(residual + v * 16, get(residual + v * 16, n) + root, n);
  }
}

void add_tree(const TreeTask& task) {
  for (std::int64_t m = task.rows.begin; m < task.rows.end; ++m) {
    std::int64_t c = task.columns.begin;
    for (; c + 64 <= task.columns.end; c += 64) add_columns<4>(task, m, c, Int<16>{});
    for (; c + 16 <= task.columns.end; c += 16) add_columns<1>(task, m, c, Int<16>{});
    if (c < task.columns.end) {
      add_columns<1>(task, m, c, static_cast<int>(task.columns.end - c));
    }
  }
}

void block_maxima(const MaximaTask& task) {
  const float lowest = -__builtin_inff();
  for (std::int64_t m = task.rows.begin; m < task.rows.end; ++m) {
    const float* const row = task.logits + m * task.stride;
    for (std::int64_t first = 0; first < task.columns; first += kLogitBlock) {
      const std::int64_t end = min_of(first + kLogitBlock, task.columns);
      // A NaN never replaces what is there.
      constexpr int kChains = 4;
      Vec best[kChains];
      WEFT_UNROLL for (int i = 0; i < kChains; ++i) best[i] = splat(lowest);
      // Zero, and NaN as soon as a value is not finite.
      Vec odd[kChains];
      WEFT_UNROLL for (int i = 0; i < kChains; ++i) odd[i] = zero();
      std::int64_t c = first;
      for (; c + 16 * kChains <= end; c += 16 * kChains) {
        WEFT_UNROLL for (int i = 0; i < kChains; ++i) {
          const Vec x = load(row + c + 16 * i);
          best[i] = max(x, best[i]);
          odd[i] = fma(x, zero(), odd[i]);
        }
      }
      for (; c + 16 <= end; c += 16) {
        best[0] = max(load(row + c), best[0]);
        odd[0] = fma(load(row + c), zero(), odd[0]);
      }
      float value = largest_lane(max(max(best[0], best[1]), max(best[2], best[3])));
      float odd_sum = sum_by_halving((odd[0] + odd[1]) + (odd[2] + odd[3]));
      for (; c < end; ++c) {
        value = row[c] > value ? row[c] : value;
        odd_sum = odd_sum + row[c] * 0.0F;
      }
      std::int64_t at = first;
      if (value > lowest) {
        for (int lane = 16; at + 16 <= end; at += 16) {
          lane = first_equal(load(row + at), value);
          if (lane < 16) {
            at += lane;
            break;
          }
        }
        while (row[at] != value) ++at;
        value = row[at];  // of -0 and +0 the one that comes first
      }
      task.values[m * task.values_stride + first / kLogitBlock] = value;
      task.at[m * task.at_stride + first / kLogitBlock] =
          static_cast<std::int32_t>(odd_sum == 0 ? at : ~at);
    }
  }
}

}  // namespace
}  // namespace weft
