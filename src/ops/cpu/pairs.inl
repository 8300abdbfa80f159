// x * w^T in bf16 by an instruction that multiplies and adds two columns of K: with the first of
// them in the upper half of each pair, it gives the bits of two fused multiply-adds that flush
// denormal numbers (docs/internals/numerics.md). Everything around the products is that of
// linear.inl.

namespace weft {
namespace {

/// Cache lines of a panel's pair of columns.
constexpr int kPairLines = 2;

/// Columns of K in pairs; the last one may stand alone.
WEFT_INLINE std::int64_t pairs_of(std::int64_t columns) { return ceil_of(columns, 2); }

/// Rows of K elements to a row block [ceil(K / 2)][rows] of pairs. What an odd K lacks is +0.
void pack_pairs(const PackTask& task) {
  const auto* const x = reinterpret_cast<const std::uint16_t*>(task.x);
  const std::int64_t rows = task.rows;
  const std::uint16_t* row[kTileRows];
  for (std::int64_t r = 0; r < rows; ++r) {
    row[r] = x + (task.index == nullptr ? r : task.index[r]) * task.row_stride;
  }
  float pairs[kTileRows][16];
  for (std::int64_t k = 0; k < task.columns; k += 32) {
    const auto n = static_cast<int>(min_of(32, task.columns - k));
    for (std::int64_t r = 0; r < rows; ++r) store(pairs[r], load_pairs(row[r] + k, n));
    float* const out = task.out + k / 2 * rows;
    for (int i = 0; i < (n + 1) / 2; ++i) {
      for (std::int64_t r = 0; r < rows; ++r) out[i * rows + r] = pairs[r][i];
    }
  }
}

/// Pairs of a panel's columns, as the panel has them: one column behind the other.
struct PairsOfPanel {
  const std::uint16_t* w;

  WEFT_INLINE void take(Vec (&b)[2]) {
    zip_columns(w, w + kPanelRows, b);
    w += 2 * kPanelRows;
  }
  /// A column without a second one, which is -0: products with +0 that change no sum.
  WEFT_INLINE void take_last(Vec (&b)[2]) const {
    alignas(64) std::uint16_t second[kPanelRows];
    for (std::uint16_t& bits : second) bits = 0x8000;
    zip_columns(w, second, b);
  }
};

/// The same, kept for the row blocks that follow.
struct KeptPairs {
  PairsOfPanel panel;
  float* pairs;

  WEFT_INLINE void take(Vec (&b)[2]) {
    panel.take(b);
    keep(b);
  }
  WEFT_INLINE void take_last(Vec (&b)[2]) {
    panel.take_last(b);
    keep(b);
  }

 private:
  WEFT_INLINE void keep(const Vec (&b)[2]) {
    store(pairs, b[0]);
    store(pairs + 16, b[1]);
    pairs += kPanelRows;
  }
};

/// Pairs as they were kept.
struct Pairs {
  const float* pairs;

  WEFT_INLINE void take(Vec (&b)[2]) {
    b[0] = load(pairs);
    b[1] = load(pairs + 16);
    pairs += kPanelRows;
  }
  WEFT_INLINE void take_last(Vec (&b)[2]) { take(b); }
};

template <int R>
WEFT_INLINE void add_pair(Tile<R, 2>& sums, const float* x, const Vec (&b)[2]) {
  WEFT_UNROLL for (int r = 0; r < R; ++r) {
    const Vec a = splat(x[r]);
    sums.at[r][0] = fma_pairs(a, b[0], sums.at[r][0]);
    sums.at[r][1] = fma_pairs(a, b[1], sums.at[r][1]);
  }
}

/// As run_piece, for a whole panel; `x` holds pairs, `asking` counts them.
template <int R, class Weights>
__attribute__((noinline)) void run_pairs(const Piece& piece, Weights weights) {
  Tile<R, 2> sums;
  begin_piece(sums, piece);
  const float* x = piece.x;
  const char* ahead = piece.ahead;
  const std::int64_t asking = min_of(piece.asking, piece.count / 2);
  Vec b[2];
  for (std::int64_t i = 0; i < asking; ++i, x += R) {
    WEFT_UNROLL for (int line = 0; line < kPairLines; ++line) __builtin_prefetch(ahead + line * 64);
    ahead += kPairLines * 64;
    weights.take(b);
    add_pair(sums, x, b);
  }
  for (std::int64_t i = asking; i < piece.count / 2; ++i, x += R) {
    weights.take(b);
    add_pair(sums, x, b);
  }
  if (piece.count % 2 != 0) {
    weights.take_last(b);
    add_pair(sums, x, b);
  }
  end_piece(sums, piece);
}

void direct_pairs(const PanelWalk& walk, const std::uint16_t* w) {
  const LinearTask& task = walk.task;
  for (int i = 0; i < task.leaf_count; ++i) {
    const LinearLeaf& leaf = task.leaves[i];
    Piece piece = walk.piece(leaf, {leaf.begin, leaf.end}, 0);
    piece.x += leaf.begin / 2 * task.rows;
    const std::uint16_t* const from = w + leaf.begin * kPanelRows;
    piece.ahead = reinterpret_cast<const char*>(from) + kAhead;
    piece.asking = piece.count;
    with_constant<kDirectRows>(
        task.rows, [&](auto rows) { run_pairs<decltype(rows)::value>(piece, PairsOfPanel{from}); });
  }
}

void blocked_pairs(const PanelWalk& walk, const std::uint16_t* w) {
  const LinearTask& task = walk.task;
  const std::int64_t most = kColumnChunk;
  for (int i = 0; i < task.leaf_count; ++i) {
    const LinearLeaf& leaf = task.leaves[i];
    const std::int64_t pairs = pairs_of(leaf.end - leaf.begin);
    const std::int64_t chunks = ceil_of(2 * pairs, most);
    for (std::int64_t c = 0; c < chunks; ++c) {
      const Range columns = {leaf.begin + 2 * part_begin(c, chunks, pairs),
                             min_of(leaf.begin + 2 * part_begin(c + 1, chunks, pairs), leaf.end)};
      const std::int64_t count = pairs_of(columns.end - columns.begin);
      const std::int64_t share = ceil_of(count, task.blocks.end - task.blocks.begin);
      const std::uint16_t* const from = w + columns.begin * kPanelRows;
      const char* const next =
          reinterpret_cast<const char*>(from + (columns.end - columns.begin) * kPanelRows);
      std::int64_t asked = 0;
      std::int64_t row = walk.first_row;
      for (std::int64_t b = task.blocks.begin; b < task.blocks.end; ++b) {
        const std::int64_t rows = part_begin(b + 1, walk.blocks, task.rows) - row;
        Piece piece = walk.piece(leaf, columns, row);
        piece.x += columns.begin / 2 * rows;
        piece.ahead = next + asked * kPairLines * 64;
        piece.asking = min_of(share, count - asked);
        with_constant<kTileRows>(rows, [&](auto n) {
          constexpr int r = decltype(n)::value;
          if (b == task.blocks.begin) {
            run_pairs<r>(piece, KeptPairs{{from}, task.scratch});
          } else {
            run_pairs<r>(piece, Pairs{task.scratch});
          }
        });
        asked += piece.asking;
        row += rows;
      }
    }
  }
}

void linear_pairs(const LinearTask& task) {
  for (std::int64_t panel = task.panels.begin; panel < task.panels.end; ++panel) {
    const auto* const w =
        reinterpret_cast<const std::uint16_t*>(task.weights) + panel * task.columns * kPanelRows;
    const PanelWalk walk{task, panel, pairs_of(task.columns)};
    if (task.rows <= kDirectRows) {
      direct_pairs(walk, w);
    } else {
      blocked_pairs(walk, w);
    }
  }
}

/// As spin_fma, with pairs: twice as many multiply-adds.
float spin_pairs(std::int64_t rounds, float seed) {
  Vec sums[kSpinChains];
  for (Vec& sum : sums) sum = splat(seed);
  const Vec a = splat(seed);
  for (std::int64_t i = 0; i < rounds; ++i) {
    for (Vec& sum : sums) sum = fma_pairs(a, a, sum);
  }
  Vec total = zero();
  for (const Vec& sum : sums) total = total + sum;
  float lanes[16];
  store(lanes, total);
  return lanes[0];
}

}  // namespace
}  // namespace weft
