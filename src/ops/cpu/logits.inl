// Sums of exponentials over blocks of logits.

namespace weft {
namespace {

/// The weight sum of one block of `width` logits, each of which counts above `limit_of` its 16
/// columns.
template <class F>
WEFT_INLINE float block_weight_sum(const float* x, std::int64_t width, float value, float scale,
                                   F limit_of) {
  const Vec maximum = splat(value);
  const Vec factor = splat(scale);
  Vec sum = zero();
  by_lanes(width, [&](std::int64_t c, auto n) {
    const Vec logit = get(x + c, n);
    Vec weight = select(greater(logit, limit_of(c)), exp_of((logit - maximum) * factor), zero());
    if (lanes_of(n) < 16) weight = select(first_lanes(lanes_of(n)), weight, zero());
    sum = sum + weight;
  });
  return sum_by_halving(sum);
}

/// Of which the first `split` columns count above `before`, the others above `behind`.
WEFT_INLINE float block_weight_sum(const float* x, std::int64_t width, float value, float scale,
                                   float before, float behind, std::int64_t split) {
  const Vec limit_before = splat(before);
  const Vec limit_behind = splat(behind);
  if (split > 0 && split < width) {
    return block_weight_sum(x, width, value, scale, [&](std::int64_t c) {
      const auto early = static_cast<int>(max_of(0, min_of(16, split - c)));
      return select(first_lanes(early), limit_before, limit_behind);
    });
  }
  const Vec limit = split > 0 ? limit_before : limit_behind;
  return block_weight_sum(x, width, value, scale, [&](std::int64_t) { return limit; });
}

void block_weight_sums(const WeightSumTask& task) {
  const float infinity = __builtin_inff();
  for (std::int64_t m = task.rows.begin; m < task.rows.end; ++m) {
    const float* const row = task.logits + m * task.stride;
    const float scale = task.scales[m];
    const float before = task.before[m];
    const float behind = task.behind[m];
    const float lower = before < behind ? before : behind;
    for (std::int64_t b = task.blocks.begin; b < task.blocks.end; ++b) {
      const float value = task.values[m * task.values_stride + b];
      float weight_sum = 0;
      // A block whose maximum does not count has nothing that does.
      if (scale > 0 && value > lower && value < infinity) {
        const std::int64_t first = b * kLogitBlock;
        weight_sum = block_weight_sum(row + first, min_of(kLogitBlock, task.columns - first), value,
                                      scale, before, behind, task.splits[m] - first);
      }
      task.weight_sums[m * task.weight_sums_stride + b] = weight_sum;
    }
  }
}

}  // namespace
}  // namespace weft
