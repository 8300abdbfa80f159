// x * w^T over the segment tree: packing of x, and the panels.

namespace weft {
namespace {

/// How far ahead of a product weights are asked for, in bytes.
constexpr std::int64_t kAhead = 16384;
/// Up to so many rows chunks of half the length were quicker (docs/measurements/history/cpu.md).
constexpr std::int64_t kFewRows = 48;

template <class X>
void pack_rows(const PackTask& task) {
  const auto* const x = reinterpret_cast<const X*>(task.x);
  const std::int64_t rows = task.rows;
  const X* row[kTileRows];
  for (std::int64_t r = 0; r < rows; ++r) {
    row[r] = x + (task.index == nullptr ? r : task.index[r]) * task.row_stride;
  }
  float wide[kTileRows][16];
  for (std::int64_t k = 0; k < task.columns; k += 16) {
    const auto n = static_cast<int>(min_of(16, task.columns - k));
    for (std::int64_t r = 0; r < rows; ++r) {
      store(wide[r], load_part(row[r] + k, n));
    }
    float* const out = task.out + k * rows;
    for (int i = 0; i < n; ++i) {
      for (std::int64_t r = 0; r < rows; ++r) out[i * rows + r] = wide[r][i];
    }
  }
}

[[maybe_unused]] void pack(const PackTask& task) {
  if (task.bf16) {
    pack_rows<std::uint16_t>(task);
  } else {
    pack_rows<float>(task);
  }
}

/// A piece of one leaf for one row block and up to 32 columns.
struct Piece {
  const float* x;
  std::int64_t count;   ///< of K
  const char* ahead;    ///< memory to ask for meanwhile, some lines a column
  std::int64_t asking;  ///< columns of K, the first ones, at which to ask
  float* stack;         ///< [slot][row][32]
  std::int64_t slot_stride;
  bool resume;  ///< continues the sums at `slot`
  bool last;    ///< ends the leaf
  LinearLeaf leaf;
  float* out;  ///< of the leaf's node
  std::int64_t out_stride;
  std::int64_t out_columns;
};

/// Weights as they lie in the panel.
template <class W>
struct Plain {
  const W* w;

  [[nodiscard]] Plain from_column(int column) const { return {w + column}; }
  WEFT_INLINE Vec at(int v) const { return load(w + v * 16); }
  WEFT_INLINE void step() { w += kPanelRows; }
};

/// Weights that are kept in f32, too, for the row blocks that follow.
struct Kept {
  const std::uint16_t* w;
  float* wide;

  [[nodiscard]] Kept from_column(int column) const { return {w + column, wide + column}; }
  WEFT_INLINE Vec at(int v) const {
    const Vec value = load(w + v * 16);
    store(wide + v * 16, value);
    return value;
  }
  WEFT_INLINE void step() {
    w += kPanelRows;
    wide += kPanelRows;
  }
};

template <int R, int V, int Lines, class Weights>
WEFT_INLINE void add_products(Tile<R, V>& sums, const Piece& piece, Weights weights) {
  const auto add = [&](const float* x, std::int64_t count, auto meanwhile) {
    sums.template multiply_each<R, 1>(x, count, [&](int v) {
      if (v == 0) meanwhile();
      const Vec b = weights.at(v);
      if (v == V - 1) weights.step();
      return b;
    });
  };
  const std::int64_t asking = Lines == 0 ? 0 : piece.asking;
  if constexpr (Lines > 0) {
    const char* ahead = piece.ahead;
    add(piece.x, asking, [&] {
      WEFT_UNROLL for (int line = 0; line < Lines; ++line) {
        __builtin_prefetch(ahead + line * 64);
      }
      ahead += Lines * 64;
    });
  }
  add(piece.x + asking * R, piece.count - asking, Nothing{});
}

/// Where a piece's sums come from.
template <int R, int V>
WEFT_INLINE void begin_piece(Tile<R, V>& sums, const Piece& piece) {
  if (piece.resume) {
    sums.load_from(piece.stack + piece.leaf.slot * piece.slot_stride, kPanelRows);
  } else {
    sums.clear();
  }
}

/// Where they go: at the end of a leaf, after the additions of the tree.
template <int R, int V>
WEFT_INLINE void end_piece(Tile<R, V>& sums, const Piece& piece) {
  float* const top = piece.stack + piece.leaf.slot * piece.slot_stride;
  if (!piece.last) return sums.store_to(top, kPanelRows);
  if (piece.leaf.merges > 0) {
    // Others of the tree's additions are add_tree's.
    const std::uint64_t mode = keep_denormals();
    const float* left = top;
    for (int i = 0; i < piece.leaf.merges; ++i) {
      left -= piece.slot_stride;
      WEFT_UNROLL for (int r = 0; r < R; ++r) {
        WEFT_UNROLL for (int v = 0; v < V; ++v) {
          sums.at[r][v] = load(left + r * kPanelRows + v * 16) + sums.at[r][v];
        }
      }
    }
    set_float_mode(mode);
  }
  if (piece.leaf.node >= 0) return sums.store_to(piece.out, piece.out_stride, piece.out_columns);
  sums.store_to(top - piece.leaf.merges * piece.slot_stride, kPanelRows);
}

template <int R, int V, int Lines, class Weights>
__attribute__((noinline)) void run_piece(const Piece& piece, Weights weights) {
  Tile<R, V> sums;
  begin_piece(sums, piece);
  add_products<R, V, Lines>(sums, piece, weights);
  end_piece(sums, piece);
}

/// All columns of a panel, V vectors at a time.
template <int R, int V, int Lines, class Weights>
WEFT_INLINE void run_panel(Piece piece, Weights weights) {
  run_piece<R, V, Lines>(piece, weights);
  for (int column = V * 16; column < kPanelRows; column += V * 16) {
    piece.stack += V * 16;
    if (piece.out != nullptr) piece.out += V * 16;
    piece.out_columns -= V * 16;
    run_piece<R, V, 0>(piece, weights.from_column(column));
  }
}

/// One panel's share of a task.
struct PanelWalk {
  const LinearTask& task;
  std::int64_t panel;
  std::int64_t row_floats;  ///< that a row of x takes
  std::int64_t blocks;      ///< row blocks of all M rows
  std::int64_t first_row;   ///< of the task's blocks
  std::int64_t rows;        ///< in the task's blocks

  PanelWalk(const LinearTask& of, std::int64_t at, std::int64_t floats)
      : task(of), panel(at), row_floats(floats), blocks(ceil_of(of.rows, kTileRows)) {
    first_row = part_begin(task.blocks.begin, blocks, task.rows);
    rows = part_begin(task.blocks.end, blocks, task.rows) - first_row;
  }

  [[nodiscard]] WEFT_INLINE Piece piece(const LinearLeaf& leaf, Range columns,
                                        std::int64_t row) const {
    Piece p;
    p.x = task.x + row * row_floats;  // adjusted to the block's column by the caller
    p.count = columns.end - columns.begin;
    p.ahead = nullptr;
    p.asking = 0;
    p.stack = task.scratch + kColumnChunk * kPanelRows + (row - first_row) * kPanelRows;
    p.slot_stride = rows * kPanelRows;
    p.resume = columns.begin > leaf.begin;
    p.last = columns.end == leaf.end;
    p.leaf = leaf;
    p.out = leaf.node < 0
                ? nullptr
                : task.out + leaf.node * task.node_stride + row * task.outputs + panel * kPanelRows;
    p.out_stride = task.outputs;
    p.out_columns = min_of(kPanelRows, task.outputs - panel * kPanelRows);
    return p;
  }
};

/// Few rows: weights are used once, straight from memory.
template <class W>
void panel_direct(const PanelWalk& walk, const W* w) {
  constexpr int lines = sizeof(W) == 2 ? 1 : 2;
  const LinearTask& task = walk.task;
  for (int i = 0; i < task.leaf_count; ++i) {
    const LinearLeaf& leaf = task.leaves[i];
    Piece piece = walk.piece(leaf, {leaf.begin, leaf.end}, 0);
    piece.x += leaf.begin * task.rows;
    const W* const from = w + leaf.begin * kPanelRows;
    piece.ahead = reinterpret_cast<const char*>(from) + kAhead;
    piece.asking = piece.count;
    with_constant<kDirectRows>(task.rows, [&](auto rows) {
      constexpr int r = decltype(rows)::value;
      run_panel<r, (r <= 2 ? 2 : kTileVecs), lines>(piece, Plain<W>{from});
    });
  }
}

/// Weights of a chunk as the first row block takes them, and as those after it do.
WEFT_INLINE Plain<float> first_use(const float* w, float* /*wide*/) { return {w}; }
WEFT_INLINE Kept first_use(const std::uint16_t* w, float* wide) { return {w, wide}; }
WEFT_INLINE Plain<float> later_use(const float* w, float* /*wide*/) { return {w}; }
WEFT_INLINE Plain<float> later_use(const std::uint16_t* /*w*/, float* wide) { return {wide}; }

/// Many rows: a chunk of the panel is widened by the first row block and stays in cache while the
/// others use it; together they ask for the next chunk.
template <class W>
void panel_blocked(const PanelWalk& walk, const W* w) {
  constexpr int lines = sizeof(W) == 2 ? 1 : 2;
  const LinearTask& task = walk.task;
  const std::int64_t most = walk.rows <= kFewRows ? kColumnChunk / 2 : kColumnChunk;
  for (int i = 0; i < task.leaf_count; ++i) {
    const LinearLeaf& leaf = task.leaves[i];
    const std::int64_t chunks = ceil_of(leaf.end - leaf.begin, most);
    for (std::int64_t c = 0; c < chunks; ++c) {
      const Range columns = {leaf.begin + part_begin(c, chunks, leaf.end - leaf.begin),
                             leaf.begin + part_begin(c + 1, chunks, leaf.end - leaf.begin)};
      const std::int64_t count = columns.end - columns.begin;
      const std::int64_t share = ceil_of(count, task.blocks.end - task.blocks.begin);
      const W* const from = w + columns.begin * kPanelRows;
      const char* const next = reinterpret_cast<const char*>(from + count * kPanelRows);
      std::int64_t asked = 0;
      std::int64_t row = walk.first_row;
      for (std::int64_t b = task.blocks.begin; b < task.blocks.end; ++b) {
        const std::int64_t rows = part_begin(b + 1, walk.blocks, task.rows) - row;
        Piece piece = walk.piece(leaf, columns, row);
        piece.x += columns.begin * rows;
        piece.ahead = next + asked * lines * 64;
        piece.asking = min_of(share, count - asked);
        with_constant<kTileRows>(rows, [&](auto n) {
          constexpr int r = decltype(n)::value;
          if (b == task.blocks.begin) {
            run_panel<r, kTileVecs, lines>(piece, first_use(from, task.scratch));
          } else {
            run_panel<r, kTileVecs, lines>(piece, later_use(from, task.scratch));
          }
        });
        asked += piece.asking;
        row += rows;
      }
    }
  }
}

template <class W>
void linear_of(const LinearTask& task) {
  for (std::int64_t panel = task.panels.begin; panel < task.panels.end; ++panel) {
    const W* const w = reinterpret_cast<const W*>(task.weights) + panel * task.columns * kPanelRows;
    const PanelWalk walk{task, panel, task.columns};
    if (task.rows <= kDirectRows) {
      panel_direct(walk, w);
    } else {
      panel_blocked(walk, w);
    }
  }
}

[[maybe_unused]] void linear(const LinearTask& task) {
  if (!task.bf16) return linear_of<float>(task);
  const std::uint64_t mode = flush_denormals();
  linear_of<std::uint16_t>(task);
  set_float_mode(mode);
}

}  // namespace
}  // namespace weft
