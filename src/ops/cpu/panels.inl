// Weights into panels: rows of a matrix into [panel][K][32].

namespace weft {
namespace {

/// Part of one panel, element by element: rows [0, rows) of `from` to places [first, first + rows)
/// of the lines of columns [begin, end).
template <class T>
WEFT_INLINE void pack_some(const T* from, std::int64_t stride, std::int64_t first,
                           std::int64_t rows, Range columns, T* lines) {
  for (std::int64_t r = 0; r < rows; ++r) {
    for (std::int64_t k = columns.begin; k < columns.end; ++k) {
      lines[k * kPanelRows + first + r] = from[r * stride + k];
    }
  }
}

/// A whole panel. 16 bytes of each of the 32 rows make a square of n x n elements in each lane of n
/// registers; log2(n) rounds of zipping transpose it, and lane j then has n rows of one column.
/// Plain stores: the memory is fresh from the kernel, which has just cleared it, in the caches.
template <class T>
WEFT_INLINE void pack_panel(const T* from, std::int64_t stride, std::int64_t columns, T* lines) {
  constexpr int n = 16 / sizeof(T);
  constexpr int parts = kPanelRows / (n * kBitLanes);  // registers that a line fills
  constexpr int part_bytes = 16 * kBitLanes;
  const std::int64_t row_bytes = stride * static_cast<std::int64_t>(sizeof(T));
  const auto* const in = reinterpret_cast<const std::byte*>(from);
  auto* out = reinterpret_cast<std::byte*>(lines);
  std::int64_t k = 0;
  for (; k + n <= columns; k += n, out += n * parts * part_bytes) {
    Bits square[parts][n];
    WEFT_UNROLL for (int p = 0; p < parts; ++p) {
      WEFT_UNROLL for (int i = 0; i < n; ++i) {
        square[p][i] = load_lanes(
            in + k * static_cast<std::int64_t>(sizeof(T)) + (p * n * kBitLanes + i) * row_bytes,
            n * row_bytes);
      }
      WEFT_UNROLL for (int round = 1; round < n; round *= 2) {
        Bits zipped[n];
        WEFT_UNROLL for (int i = 0; i < n / 2; ++i) {
          zipped[2 * i] = zip_low(square[p][i], square[p][i + n / 2], T());
          zipped[2 * i + 1] = zip_high(square[p][i], square[p][i + n / 2], T());
        }
        WEFT_UNROLL for (int i = 0; i < n; ++i) square[p][i] = zipped[i];
      }
    }
    WEFT_UNROLL for (int i = 0; i < n; ++i) {
      WEFT_UNROLL for (int p = 0; p < parts; ++p) {
        store(out + (i * parts + p) * part_bytes, square[p][i]);
      }
    }
  }
  pack_some(from, stride, 0, kPanelRows, {k, columns}, lines);
}

template <class T>
WEFT_INLINE void pack_rows(const PanelTask& task) {
  const T* const from = reinterpret_cast<const T*>(task.from);
  T* const panels = reinterpret_cast<T*>(task.panels);
  for (std::int64_t r = 0; r < task.rows;) {
    const std::int64_t row = task.row0 + r;
    const std::int64_t first = row % kPanelRows;
    const std::int64_t count = min_of(task.rows - r, kPanelRows - first);
    T* const lines = panels + (row / kPanelRows * task.panel_columns + task.col0) * kPanelRows;
    if (count == kPanelRows) {
      pack_panel(from + r * task.row_stride, task.row_stride, task.columns, lines);
    } else {
      pack_some(from + r * task.row_stride, task.row_stride, first, count, {0, task.columns},
                lines);
    }
    r += count;
  }
}

void pack_panels(const PanelTask& task) {
  if (task.bf16) {
    pack_rows<std::uint16_t>(task);
  } else {
    pack_rows<float>(task);
  }
}

}  // namespace
}  // namespace weft
