// x * w^T over the segment tree: packing of x, and the panels.

namespace weft {
namespace {

/// How far ahead of a product weights are asked for, in bytes.
constexpr std::int64_t kAhead = 16384;

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

void pack(const PackTask& task) {
  if (task.bf16) {
    pack_rows<std::uint16_t>(task);
  } else {
    pack_rows<float>(task);
  }
}

/// A piece of one leaf for one row block and up to 32 columns.
struct Piece {
  const float* x;
  std::int64_t count;  ///< of K
  const char* ahead;
  float* stack;  ///< [slot][row][32]
  std::int64_t slot_stride;
  bool resume;  ///< continues the sums at `slot`
  bool last;    ///< ends the leaf
  LinearLeaf leaf;
  float* out;  ///< of the leaf's node
  std::int64_t out_stride;
  std::int64_t out_columns;
};

template <int R, int V, int Lines, class W>
__attribute__((noinline)) void run_piece(const Piece& piece, const W* w) {
  Tile<R, V> sums;
  float* const top = piece.stack + piece.leaf.slot * piece.slot_stride;
  if (piece.resume) {
    sums.load_from(top, kPanelRows);
  } else {
    sums.clear();
  }
  const char* ahead = piece.ahead;
  sums.template multiply<R, 1>(piece.x, w, kPanelRows, 16, piece.count, [&] {
    WEFT_UNROLL for (int line = 0; line < Lines; ++line) __builtin_prefetch(ahead + line * 64);
    ahead += Lines * 64;
  });
  if (!piece.last) return sums.store_to(top, kPanelRows);
  const float* left = top;
  for (int i = 0; i < piece.leaf.merges; ++i) {
    left -= piece.slot_stride;
    WEFT_UNROLL for (int r = 0; r < R; ++r) {
      WEFT_UNROLL for (int v = 0; v < V; ++v) {
        sums.at[r][v] = load(left + r * kPanelRows + v * 16) + sums.at[r][v];
      }
    }
  }
  if (piece.leaf.node >= 0) return sums.store_to(piece.out, piece.out_stride, piece.out_columns);
  sums.store_to(top - piece.leaf.merges * piece.slot_stride, kPanelRows);
}

/// All columns of a panel, V vectors at a time.
template <int R, int V, int Lines, class W>
WEFT_INLINE void run_panel(Piece piece, const W* w) {
  run_piece<R, V, Lines>(piece, w);
  for (int column = V * 16; column < kPanelRows; column += V * 16) {
    piece.stack += V * 16;
    if (piece.out != nullptr) piece.out += V * 16;
    piece.out_columns -= V * 16;
    run_piece<R, V, 0>(piece, w + column);
  }
}

/// One panel's share of a task.
struct PanelWalk {
  const LinearTask& task;
  std::int64_t panel;

  [[nodiscard]] Piece piece(const LinearLeaf& leaf, Range columns, std::int64_t row,
                            std::int64_t first_row) const {
    Piece p;
    p.x = task.x + row * task.columns;  // adjusted to the block's column by the caller
    p.count = columns.end - columns.begin;
    p.ahead = nullptr;
    p.stack = task.scratch + kColumnChunk * kPanelRows + (row - first_row) * kPanelRows;
    p.slot_stride = (last_row() - first_row) * kPanelRows;
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
  [[nodiscard]] std::int64_t blocks() const { return ceil_of(task.rows, kTileRows); }
  [[nodiscard]] std::int64_t first_row() const {
    return part_begin(task.blocks.begin, blocks(), task.rows);
  }
  [[nodiscard]] std::int64_t last_row() const {
    return part_begin(task.blocks.end, blocks(), task.rows);
  }
};

/// Few rows: weights are used once, straight from memory.
template <class W>
void panel_direct(const PanelWalk& walk, const W* w) {
  constexpr int lines = sizeof(W) == 2 ? 1 : 2;
  const LinearTask& task = walk.task;
  for (int i = 0; i < task.leaf_count; ++i) {
    const LinearLeaf& leaf = task.leaves[i];
    Piece piece = walk.piece(leaf, {leaf.begin, leaf.end}, 0, 0);
    piece.x += leaf.begin * task.rows;
    const W* const from = w + leaf.begin * kPanelRows;
    piece.ahead = reinterpret_cast<const char*>(from) + kAhead;
    with_constant<kDirectRows>(
        task.rows, [&](auto rows) { run_panel<decltype(rows)::value, 2, lines>(piece, from); });
  }
}

WEFT_INLINE const float* widen_panel(const float* w, std::int64_t /*count*/, float* /*to*/) {
  return w;
}
WEFT_INLINE const float* widen_panel(const std::uint16_t* w, std::int64_t count, float* to) {
  for (std::int64_t i = 0; i < count * kPanelRows; i += 32) {
    store(to + i, load(w + i));
    store(to + i + 16, load(w + i + 16));
  }
  return to;
}

/// Many rows: a chunk of the panel is widened once and stays in cache while all row blocks use it;
/// the first of them asks for the next chunk.
template <class W>
void panel_blocked(const PanelWalk& walk, const W* w) {
  constexpr int lines = sizeof(W) == 2 ? 1 : 2;
  const LinearTask& task = walk.task;
  const std::int64_t blocks = walk.blocks();
  const std::int64_t first = walk.first_row();
  for (int i = 0; i < task.leaf_count; ++i) {
    const LinearLeaf& leaf = task.leaves[i];
    const std::int64_t chunks = ceil_of(leaf.end - leaf.begin, kColumnChunk);
    for (std::int64_t c = 0; c < chunks; ++c) {
      const Range columns = {leaf.begin + part_begin(c, chunks, leaf.end - leaf.begin),
                             leaf.begin + part_begin(c + 1, chunks, leaf.end - leaf.begin)};
      const std::int64_t count = columns.end - columns.begin;
      const W* const from = w + columns.begin * kPanelRows;
      const float* const wide = widen_panel(from, count, task.scratch);
      for (std::int64_t b = task.blocks.begin; b < task.blocks.end; ++b) {
        const std::int64_t row = part_begin(b, blocks, task.rows);
        const std::int64_t rows = part_begin(b + 1, blocks, task.rows) - row;
        Piece piece = walk.piece(leaf, columns, row, first);
        piece.x += columns.begin * rows;
        piece.ahead = reinterpret_cast<const char*>(from + count * kPanelRows);
        const bool ask = b == task.blocks.begin;
        with_constant<kTileRows>(rows, [&](auto n) {
          constexpr int r = decltype(n)::value;
          if (ask) {
            run_panel<r, kTileVecs, lines>(piece, wide);
          } else {
            run_panel<r, kTileVecs, 0>(piece, wide);
          }
        });
      }
    }
  }
}

template <class W>
void linear_of(const LinearTask& task) {
  for (std::int64_t panel = task.panels.begin; panel < task.panels.end; ++panel) {
    const W* const w = reinterpret_cast<const W*>(task.weights) + panel * task.columns * kPanelRows;
    const PanelWalk walk{task, panel};
    if (task.rows <= kDirectRows) {
      panel_direct(walk, w);
    } else {
      panel_blocked(walk, w);
    }
  }
}

void linear(const LinearTask& task) {
  if (task.bf16) {
    linear_of<std::uint16_t>(task);
  } else {
    linear_of<float>(task);
  }
}

}  // namespace
}  // namespace weft
