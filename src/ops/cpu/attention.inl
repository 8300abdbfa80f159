// Block-local attention over a paged cache: every block of 128 keys yields a maximum, a sum and a
// weighted sum of values from zero; blocks merge one after another.

namespace weft {
namespace {

constexpr int kGroups = static_cast<int>(kKeyBlock / kKeyGroup);

/// A key block as the products want it: 16-key groups [head_dim][16], and the values of 16 tokens
/// with `value_stride` elements from one token to the next. Only visible groups are set.
template <class W>
struct BlockView {
  const W* keys[kGroups];
  const W* values[kGroups];
  std::int64_t value_stride;
  const W* next_keys[kGroups];  ///< of the next block, null where there are none
  bool in_memory;               ///< not widened: probably not in cache yet
};

/// Query vectors of one register tile, with their running results.
struct QueryBlock {
  std::int64_t first;             ///< index of the first query vector of the item
  const float* q;                 ///< [head_dim][queries]
  float* sums;                    ///< [queries][width], running weighted sums
  float* maxima;                  ///< [queries]
  float* totals;                  ///< [queries]
  std::int32_t begin[kTileRows];  ///< visible keys [begin, end) of the present block
  std::int32_t end[kTileRows];
};

/// Parts of the scratch memory, and what all blocks of an item share.
struct AttentionState {
  const AttentionTask& task;
  std::int64_t width;  ///< head_dim rounded up to whole vectors
  float* q;
  float* sums;
  float* maxima;
  float* totals;
  float* scores;                         ///< [tile rows][128]
  float* local;                          ///< [tile rows][width], weighted sums of one block
  float* wide_keys;                      ///< [groups][head_dim][16]
  float* wide_values;                    ///< [128][width]
  std::int32_t first_keys[kMaxQueries];  ///< of each query, the first and the last visible key
  std::int32_t last_keys[kMaxQueries];

  explicit AttentionState(const AttentionTask& t) : task(t), width(ceil_of(t.head_dim, 16) * 16) {
    q = task.scratch;
    sums = q + kMaxQueries * width;
    maxima = sums + kMaxQueries * width;
    totals = maxima + kMaxQueries;
    scores = totals + kMaxQueries;
    local = scores + kMaxTileRows * kKeyBlock;
    wide_keys = local + kMaxTileRows * width;
    wide_values = wide_keys + kKeyBlock * width;
    std::int64_t query = 0;
    for (std::int64_t row = t.rows.begin; row < t.rows.end; ++row) {
      const std::int64_t last = t.positions[row];
      const std::int64_t first = t.window > 0 ? max_of(0, last - t.window + 1) : 0;
      for (std::int64_t head = 0; head < t.head_count; ++head, ++query) {
        first_keys[query] = static_cast<std::int32_t>(first);
        last_keys[query] = static_cast<std::int32_t>(last);
      }
    }
  }

  [[nodiscard]] std::int64_t queries() const {
    return (task.rows.end - task.rows.begin) * task.head_count;
  }
  [[nodiscard]] std::int64_t row_of(std::int64_t query) const {
    return task.rows.begin + query / task.head_count;
  }
  [[nodiscard]] std::int64_t column_of(std::int64_t query) const {
    return task.heads[query % task.head_count] * task.head_dim;
  }
  [[nodiscard]] std::int64_t first_key(std::int64_t query) const { return first_keys[query]; }
  [[nodiscard]] std::int64_t last_key(std::int64_t query) const { return last_keys[query]; }
};

/// One head's keys and values of the 16 tokens from `token` on.
template <class W>
struct TokenGroup {
  const W* keys;
  const W* values;
};

template <class W>
WEFT_INLINE TokenGroup<W> group_at(const AttentionTask& task, std::int64_t token) {
  const auto kv_block = static_cast<std::uint64_t>(task.kv_blocks[token / task.block_tokens]);
  const std::int64_t offset = token % task.block_tokens;
  const W* const head = reinterpret_cast<const W*>(task.cache + kv_block * task.block_bytes);
  return {head + offset * task.head_dim, head + (task.block_tokens + offset) * task.head_dim};
}

/// Groups [begin, end) of the block at `base`, where they lie; keys of the item end at `end`.
template <class W>
void view_block(const AttentionState& state, std::int64_t base, Range groups, std::int64_t end,
                BlockView<W>& view) {
  view.value_stride = state.task.head_dim;
  view.in_memory = true;
  for (std::int64_t g = 0; g < kGroups; ++g) {
    const std::int64_t token = base + kKeyBlock + g * kKeyGroup;
    view.next_keys[g] = token < end ? group_at<W>(state.task, token).keys : nullptr;
  }
  for (std::int64_t g = groups.begin; g < groups.end; ++g) {
    const TokenGroup<W> group = group_at<W>(state.task, base + g * kKeyGroup);
    view.keys[g] = group.keys;
    view.values[g] = group.values;
  }
}

/// The same, widened into scratch memory; tokens from `end` on are left out.
template <class W>
void widen_block(const AttentionState& state, std::int64_t base, Range groups, std::int64_t end,
                 BlockView<float>& view) {
  const std::int64_t dim = state.task.head_dim;
  view.value_stride = state.width;
  view.in_memory = false;
  for (std::int64_t g = groups.begin; g < groups.end; ++g) {
    const TokenGroup<W> group = group_at<W>(state.task, base + g * kKeyGroup);
    float* const keys = state.wide_keys + g * kKeyGroup * dim;
    float* const values = state.wide_values + g * kKeyGroup * state.width;
    for (std::int64_t d = 0; d < dim; ++d) {
      store(keys + d * kKeyGroup, load(group.keys + d * kKeyGroup));
    }
    const std::int64_t tokens = min_of(kKeyGroup, end - g * kKeyGroup);
    for (std::int64_t t = 0; t < tokens; ++t) {
      by_lanes(dim, [&](std::int64_t c, auto n) {
        store(values + t * state.width + c, get(group.values + t * dim + c, n));
      });
    }
    view.keys[g] = keys;
    view.values[g] = values;
  }
}

/// scores[r][j] = q_r . k_j for the groups [begin, end), V groups at a time. When the block lies in
/// memory, its values are asked for at the same pace.
template <int R, int V, class W>
WEFT_INLINE void score_groups(const AttentionState& state, const QueryBlock& block,
                              const BlockView<W>& view, Range groups) {
  std::int64_t g = groups.begin;
  for (; g + V <= groups.end; g += V) {
    Tile<R, V> tile;
    tile.clear();
    if (view.in_memory) {
      std::int64_t offset = 0;
      tile.template multiply_groups<R>(block.q, view.keys + g, state.task.head_dim, [&] {
        WEFT_UNROLL for (int v = 0; v < V; ++v) __builtin_prefetch(view.values[g + v] + offset);
        offset += kKeyGroup;
      });
    } else {
      tile.template multiply_groups<R>(block.q, view.keys + g, state.task.head_dim);
    }
    tile.store_to(state.scores + g * kKeyGroup, kKeyBlock);
  }
  if constexpr (V > 1) {
    if (g < groups.end) score_groups<R, V / 2>(state, block, view, {g, groups.end});
  }
}

struct Softmax {
  float maximum;
  float total;
};

/// Turns the scores of the keys [begin, end) into probabilities relative to their maximum.
WEFT_INLINE Softmax soften(float* scores, std::int64_t begin, std::int64_t end, float scale) {
  const Vec lowest = splat(-__builtin_inff());
  const std::int64_t start = begin / 16 * 16;
  const auto visible = [&](std::int64_t j, Vec a, Vec otherwise) {
    if (j >= begin && j + 16 <= end) return a;
    const Mask before = first_lanes(static_cast<int>(max_of(0, begin - j)));
    const Mask until = first_lanes(static_cast<int>(min_of(16, end - j)));
    return select(before, otherwise, select(until, a, otherwise));
  };
  Vec best = lowest;
  for (std::int64_t j = start; j < end; j += 16) {
    const Vec scaled = load(scores + j) * splat(scale);
    store(scores + j, scaled);
    best = max(visible(j, scaled, lowest), best);
  }
  const float maximum = largest_lane(best);
  Vec total = zero();
  for (std::int64_t j = start; j < end; j += 16) {
    const Vec p = visible(j, exp_of(load(scores + j) - splat(maximum)), zero());
    store(scores + j, p);
    total = total + p;
  }
  return {maximum, sum_by_halving(total)};
}

/// local[r] (+)= sum of p_j v_j over keys [begin, end) for the R rows of probabilities at `p`.
template <int R, int V, class W>
WEFT_INLINE void weigh_columns(const AttentionState& state, const BlockView<W>& view,
                               const float* p, float* out, std::int64_t column, Range keys,
                               bool resume) {
  Tile<R, V> tile;
  if (resume) {
    tile.load_from(out + column, state.width);
  } else {
    tile.clear();
  }
  for (std::int64_t j = keys.begin; j < keys.end;) {
    const std::int64_t group = j / kKeyGroup;
    const std::int64_t stop = min_of(keys.end, (group + 1) * kKeyGroup);
    if (view.in_memory && column == 0 && view.next_keys[group] != nullptr) {
      const W* const next = view.next_keys[group];
      const std::int64_t size = state.task.head_dim * kKeyGroup;
      for (std::int64_t i = 0; i < size; i += 64 / static_cast<int>(sizeof(W))) {
        __builtin_prefetch(next + i);
      }
    }
    const W* const values =
        view.values[group] + (j - group * kKeyGroup) * view.value_stride + column;
    tile.template multiply<1, static_cast<int>(kKeyBlock)>(p + j, values, view.value_stride, 16,
                                                           stop - j);
    j = stop;
  }
  tile.store_to(out + column, state.width);
}

template <int R, int V, class W>
WEFT_INLINE void weigh(const AttentionState& state, const BlockView<W>& view, const float* p,
                       float* out, Range keys, bool resume, std::int64_t column = 0) {
  for (; column + V * 16 <= state.width; column += V * 16) {
    weigh_columns<R, V>(state, view, p, out, column, keys, resume);
  }
  if constexpr (V > 1) {
    if (column < state.width) weigh<R, V / 2>(state, view, p, out, keys, resume, column);
  }
}

/// As `weigh` for one row of a block.
template <class W>
__attribute__((noinline)) void weigh_row(const AttentionState& state, const BlockView<W>& view,
                                         std::int64_t r, Range keys, bool resume) {
  weigh<1, tile_vecs(1)>(state, view, state.scores + r * kKeyBlock, state.local + r * state.width,
                         keys, resume);
}

/// local[r] = sum of p_j v_j over the visible keys of r, ascending. Keys that all rows see are
/// taken together; those before and after by themselves.
template <int R, class W>
WEFT_INLINE void weigh_block(const AttentionState& state, const QueryBlock& block,
                             const BlockView<W>& view) {
  Range common = {0, kKeyBlock};
  for (int r = 0; r < R; ++r) {
    if (block.begin[r] >= block.end[r]) continue;
    common.begin = max_of(common.begin, block.begin[r]);
    common.end = min_of(common.end, block.end[r]);
  }
  const bool none = common.begin >= common.end;
  bool resume = false;
  for (int r = 0; r < R; ++r) {
    if (none) weigh_row(state, view, r, {block.begin[r], block.end[r]}, false);
    resume = resume || (block.begin[r] < block.end[r] && block.begin[r] < common.begin);
  }
  if (none) return;
  if (resume) {
    for (int r = 0; r < R; ++r) {
      const bool seen = block.begin[r] < block.end[r];
      weigh_row(state, view, r, {seen ? block.begin[r] : common.begin, common.begin}, false);
    }
  }
  weigh<R, tile_vecs(R)>(state, view, state.scores, state.local, common, resume);
  for (int r = 0; r < R; ++r) {
    if (block.end[r] > common.end && block.begin[r] < block.end[r]) {
      weigh_row(state, view, r, {common.end, block.end[r]}, true);
    }
  }
}

/// Weights of what was and of the block, for the R queries of a tile: lanes of one vector or two.
template <int R>
struct MergeFactors {
  static_assert(R <= 16);
  static constexpr int kLanes = R <= 8 ? 8 : 16;
  float values[2 * kLanes] = {};

  [[nodiscard]] WEFT_INLINE float& before(int r) { return values[r]; }
  [[nodiscard]] WEFT_INLINE float& block(int r) { return values[kLanes + r]; }
};

/// Whether query r of a tile sees none of the keys before `base`.
WEFT_INLINE bool begins_at(const AttentionState& state, const QueryBlock& block, int r,
                           std::int64_t base) {
  return state.first_key(block.first + r) >= base;
}

/// Brings the running maxima up to date.
template <int R>
WEFT_INLINE MergeFactors<R> merge_maxima(const AttentionState& state, const QueryBlock& block,
                                         const Softmax* softmax, std::int64_t base) {
  MergeFactors<R> factors;
  for (int r = 0; r < R; ++r) {
    if (block.begin[r] >= block.end[r]) continue;
    if (begins_at(state, block, r, base)) {
      block.maxima[r] = softmax[r].maximum;
      continue;
    }
    const float old = block.maxima[r];
    const float maximum = old > softmax[r].maximum ? old : softmax[r].maximum;
    factors.before(r) = old - maximum;
    factors.block(r) = softmax[r].maximum - maximum;
    block.maxima[r] = maximum;
  }
  for (int i = 0; i < 2 * MergeFactors<R>::kLanes; i += 16) {
    store(factors.values + i, exp_of(load(factors.values + i)));
  }
  return factors;
}

/// Merges a block's results of query r into the running ones.
WEFT_INLINE void merge(const AttentionState& state, const QueryBlock& block, int r, Softmax softmax,
                       float before, float of_block, bool first) {
  float* const sums = block.sums + r * state.width;
  const float* const local = state.local + r * state.width;
  if (first) {
    for (std::int64_t c = 0; c < state.width; c += 16) store(sums + c, load(local + c));
    block.totals[r] = softmax.total;
    return;
  }
  const Vec a = splat(before);
  const Vec b = splat(of_block);
  block.totals[r] = __builtin_fmaf(softmax.total, of_block, block.totals[r] * before);
  for (std::int64_t c = 0; c < state.width; c += 16) {
    store(sums + c, fma(load(local + c), b, load(sums + c) * a));
  }
}

/// One key block for one block of R queries. `base` is the block's first key.
template <int R, class W>
__attribute__((noinline)) void attend(const AttentionState& state, QueryBlock& block,
                                      const BlockView<W>& view, std::int64_t base) {
  Range seen = {kKeyBlock, 0};
  for (int r = 0; r < R; ++r) {
    const std::int64_t begin = max_of(0, state.first_key(block.first + r) - base);
    const std::int64_t end = min_of(kKeyBlock, state.last_key(block.first + r) + 1 - base);
    block.begin[r] = static_cast<std::int32_t>(min_of(begin, kKeyBlock));
    block.end[r] = static_cast<std::int32_t>(max_of(end, 0));
    if (begin >= end) continue;
    seen = {min_of(seen.begin, begin), max_of(seen.end, end)};
  }
  if (seen.begin >= seen.end) return;
  score_groups<R, (tile_vecs(R) < 4 ? tile_vecs(R) : 4)>(
      state, block, view, {seen.begin / kKeyGroup, ceil_of(seen.end, kKeyGroup)});
  Softmax softmax[R] = {};
  for (int r = 0; r < R; ++r) {
    if (block.begin[r] >= block.end[r]) continue;
    softmax[r] =
        soften(state.scores + r * kKeyBlock, block.begin[r], block.end[r], state.task.scale);
  }
  MergeFactors<R> factors = merge_maxima<R>(state, block, softmax, base);
  weigh_block<R>(state, block, view);
  for (int r = 0; r < R; ++r) {
    if (block.begin[r] >= block.end[r]) continue;
    merge(state, block, r, softmax[r], factors.before(r), factors.block(r),
          begins_at(state, block, r, base));
  }
}

/// Widens the item's queries: block by block, [head_dim][queries of the block].
template <class W>
void load_queries(const AttentionState& state, std::int64_t blocks) {
  const AttentionTask& task = state.task;
  const std::int64_t queries = state.queries();
  for (std::int64_t b = 0; b < blocks; ++b) {
    const std::int64_t first = part_begin(b, blocks, queries);
    const std::int64_t count = part_begin(b + 1, blocks, queries) - first;
    float* const out = state.q + first * task.head_dim;
    for (std::int64_t r = 0; r < count; ++r) {
      const W* const from = reinterpret_cast<const W*>(task.q) +
                            state.row_of(first + r) * task.q_stride + state.column_of(first + r);
      by_lanes(task.head_dim, [&](std::int64_t c, auto n) {
        float wide[16];
        store(wide, get(from + c, n));
        for (int i = 0; i < lanes_of(n); ++i) out[(c + i) * count + r] = wide[i];
      });
    }
  }
}

/// out = running sums / totals.
template <class W>
void store_results(const AttentionState& state) {
  const AttentionTask& task = state.task;
  for (std::int64_t i = 0; i < state.queries(); ++i) {
    W* const out =
        reinterpret_cast<W*>(task.out) + state.row_of(i) * task.out_stride + state.column_of(i);
    const Vec total = splat(state.totals[i]);
    by_lanes(task.head_dim, [&](std::int64_t c, auto n) {
      put(out + c, load(state.sums + i * state.width + c) / total, n);
    });
  }
}

template <class W>
void attention_of(const AttentionTask& task) {
  const AttentionState state(task);
  const std::int64_t queries = state.queries();
  const std::int64_t blocks = ceil_of(queries, kTileRows);
  load_queries<W>(state, blocks);
  Range keys = {state.first_key(0), state.last_key(0) + 1};
  for (std::int64_t i = 0; i < queries; i += task.head_count) {
    keys = {min_of(keys.begin, state.first_key(i)), max_of(keys.end, state.last_key(i) + 1)};
  }
  const bool whole = task.head_dim == state.width;
  const bool direct = whole && (sizeof(W) == 4 || blocks == 1);
  for (std::int64_t base = keys.begin / kKeyBlock * kKeyBlock; base < keys.end; base += kKeyBlock) {
    const Range groups = {max_of(0, keys.begin - base) / kKeyGroup,
                          ceil_of(min_of(kKeyBlock, keys.end - base), kKeyGroup)};
    BlockView<W> view;
    BlockView<float> wide;
    if (direct) {
      view_block<W>(state, base, groups, keys.end, view);
    } else {
      widen_block<W>(state, base, groups, keys.end - base, wide);
    }
    for (std::int64_t b = 0; b < blocks; ++b) {
      const std::int64_t first = part_begin(b, blocks, queries);
      const std::int64_t count = part_begin(b + 1, blocks, queries) - first;
      QueryBlock block;
      block.first = first;
      block.q = state.q + first * task.head_dim;
      block.sums = state.sums + first * state.width;
      block.maxima = state.maxima + first;
      block.totals = state.totals + first;
      with_constant<kTileRows>(count, [&](auto n) {
        constexpr int r = decltype(n)::value;
        if (direct) {
          attend<r>(state, block, view, base);
        } else {
          attend<r>(state, block, wide, base);
        }
      });
    }
  }
  store_results<W>(state);
}

void attention(const AttentionTask& task) {
  if (task.bf16) {
    attention_of<std::uint16_t>(task);
  } else {
    attention_of<float>(task);
  }
}

}  // namespace
}  // namespace weft
