// Kernels that work row by row. All of them give the bits of docs/internals/numerics.md's CPU
// operators.
//
// Grids are (pieces of a row, rows); a launch may have fewer rows than there are, and blocks then
// take several.
#pragma once

#include <cmath>
#include <cstdint>

#include "cuda/kernels/packing.h"
#include "cuda/kernels/values.h"
#include "cuda/platform/lane.h"
#include "ops/non_finite.h"

namespace weft {

/// Most nodes that a tree of partial sums can have.
inline constexpr int kMostNodes = 64;

/// A sum over tree nodes as a program: part i is added to as many waiting sums as `merges[i]` says.
struct TreeProgram {
  std::int32_t count = 0;
  std::int8_t merges[kMostNodes] = {};
  const float* parts[kMostNodes] = {};
  std::int64_t strides[kMostNodes] = {};  ///< of rows, in elements
};

}  // namespace weft

namespace weft::WEFT_PLATFORM {

inline constexpr int kRowThreads = 256;

/// The column of this thread in a grid of (pieces, rows).
WEFT_DEVICE std::int64_t column_here() { return std::int64_t{block_x()} * threads() + thread(); }

/// 1 / sqrt(mean(x^2) + eps) of a row, to memory[0]; by the first warp of a block.
WEFT_DEVICE void put_norm_factor(const float* x, int columns, float eps, float* memory) {
  if (thread() >= 32) return;
  float sum = 0;
  if (thread() < 16) {
    for (int c = thread(); c < columns; c += 16) sum = fmaf(x[c], x[c], sum);
  }
  sum = sum_by_halving(sum);
  if (thread() == 0) memory[0] = 1.0F / sqrtf(sum / static_cast<float>(columns) + eps);
}

/// out = x / sqrt(mean(x^2) + eps) * weight; one block for a row.
template <class T>
struct RmsNorm {
  static constexpr int kThreads = kRowThreads;
  Rows<const float> x;
  const float* weight;
  Rows<T> out;
  std::int32_t columns;
  float eps;
  bool staged;  ///< shared memory holds a row; there is always room for one number more

  WEFT_DEVICE void operator()() const {
    const std::int64_t row = block_x();
    auto* const memory = reinterpret_cast<float*>(shared());
    float* const stage = memory + 4;
    const float* from = x[row];
    if (staged) {
      for (int c = thread(); c < columns; c += threads()) stage[c] = x[row][c];
      block_barrier();
      from = stage;
    }
    put_norm_factor(from, columns, eps, memory);
    block_barrier();
    const float r = memory[0];
    for (int c = thread(); c < columns; c += threads()) {
      out[row][c] = narrow<T>((from[c] * r) * weight[c]);
    }
  }
};

/// out = silu(gate) * up.
template <class T>
struct Swiglu {
  static constexpr int kThreads = kRowThreads;
  Rows<const float> gate_up;
  Rows<T> out;
  std::int64_t rows;
  std::int64_t features;

  WEFT_DEVICE void operator()() const {
    const std::int64_t c = column_here();
    if (c >= features) return;
    for (std::int64_t row = block_y(); row < rows; row += grid_y()) {
      out[row][c] = narrow<T>(gated(gate_up[row][c], gate_up[row][features + c]));
    }
  }
};

/// Root of a tree at one element of a row.
WEFT_DEVICE float tree_root(const TreeProgram& tree, std::int64_t row, std::int64_t column) {
  float waiting[kTreeDepth];
  int depth = 0;
  for (int i = 0; i < tree.count; ++i) {
    float sum = tree.parts[i][row * tree.strides[i] + column];
    for (int merge = tree.merges[i]; merge > 0; --merge) sum = waiting[--depth] + sum;
    waiting[depth++] = sum;
  }
  return waiting[0];
}

/// residual += root of the tree (+ bias).
struct AddTree {
  static constexpr int kThreads = kRowThreads;
  TreeProgram tree;
  const float* bias;
  Rows<float> residual;
  std::int64_t rows;
  std::int64_t columns;

  WEFT_DEVICE void operator()() const {
    const std::int64_t c = column_here();
    if (c >= columns) return;
    for (std::int64_t row = block_y(); row < rows; row += grid_y()) {
      const float root = tree_root(tree, row, c);
      residual[row][c] = residual[row][c] + (bias != nullptr ? root + bias[c] : root);
    }
  }
};

/// The same, and then out = rms_norm of the residual: one block for a row, which stands in shared
/// memory between the two.
template <class T>
struct AddTreeNorm {
  static constexpr int kThreads = 512;
  static constexpr int kAhead = 8;  ///< columns of a thread whose loads are under way together
  TreeProgram tree;
  const float* bias;
  Rows<float> residual;
  std::int32_t columns;
  const float* weight;
  float eps;
  Rows<T> out;

  static std::size_t shared_bytes(std::int64_t columns) {
    return sizeof(float) * static_cast<std::size_t>(4 + columns);
  }

  WEFT_DEVICE void operator()() const {
    const std::int64_t row = block_x();
    auto* const memory = reinterpret_cast<float*>(shared());
    float* const stage = memory + 4;
    for (int first = thread(); first < columns; first += kAhead * threads()) {
      float sums[kAhead];
      WEFT_UNROLL for (int i = 0; i < kAhead; ++i) {
        const int c = first + i * threads();
        if (c >= columns) continue;
        const float root =
            tree.count == 1 ? tree.parts[0][row * tree.strides[0] + c] : tree_root(tree, row, c);
        sums[i] = residual[row][c] + (bias != nullptr ? root + bias[c] : root);
      }
      WEFT_UNROLL for (int i = 0; i < kAhead; ++i) {
        const int c = first + i * threads();
        if (c >= columns) continue;
        residual[row][c] = sums[i];
        stage[c] = sums[i];
      }
    }
    block_barrier();
    put_norm_factor(stage, columns, eps, memory);
    block_barrier();
    const float r = memory[0];
    for (int c = thread(); c < columns; c += threads()) {
      out[row][c] = narrow<T>((stage[c] * r) * weight[c]);
    }
  }
};

/// Brings the sums of leaves, computed apart, to the nodes of a product: `leaf_sums` [leaves,
/// elements] to `out` [nodes, elements].
struct JoinLeaves {
  static constexpr int kThreads = kRowThreads;
  ProductLeaves leaves;
  const float* leaf_sums;
  float* out;
  std::int64_t elements;

  WEFT_DEVICE void operator()() const {
    const std::int64_t i = column_here();
    if (i >= elements) return;
    join_leaves(
        leaves, [&](int leaf) { return leaf_sums[leaf * elements + i]; },
        [&](int node, float sum) { out[node * elements + i] = sum; });
  }
};

/// The same for a product of gates and ups with one node: out = silu(gate) * up, `leaf_sums`
/// [leaves, rows, 2 * features].
struct JoinGated {
  static constexpr int kThreads = kRowThreads;
  ProductLeaves leaves;
  const float* leaf_sums;
  Bf16* out;  ///< [rows, features]
  std::int64_t rows;
  std::int64_t features;

  WEFT_DEVICE void operator()() const {
    const std::int64_t i = column_here();
    if (i >= rows * features) return;
    const std::int64_t gate = i / features * 2 * features + i % features;
    const auto root = [&](std::int64_t at) {
      float value = 0;
      join_leaves(
          leaves, [&](int leaf) { return leaf_sums[leaf * rows * 2 * features + at]; },
          [&](int, float sum) { value = sum; });
      return value;
    };
    const float g = root(gate);
    out[i] = narrow<Bf16>(gated(g, root(gate + features)));
  }
};

/// out[i] = x[rows[i]], left alone where that is negative.
template <class T>
struct GatherRows {
  static constexpr int kThreads = kRowThreads;
  Rows<const T> x;
  const std::int32_t* index;
  Rows<T> out;
  std::int64_t rows;
  std::int64_t columns;

  WEFT_DEVICE void operator()() const {
    const std::int64_t c = column_here();
    if (c >= columns) return;
    for (std::int64_t row = block_y(); row < rows; row += grid_y()) {
      if (index[row] >= 0) out[row][c] = x[index[row]][c];
    }
  }
};

/// The largest value of each block of 256 columns and the lowest column that has it, marked
/// where the block has NaN or an infinity; one warp for a block.
struct BlockMaxima {
  static constexpr int kThreads = 128;
  static constexpr int kColumns = 256;
  Rows<const float> logits;
  Rows<float> values;
  Rows<std::int32_t> at;
  std::int64_t rows;
  std::int64_t columns;

  WEFT_DEVICE void operator()() const {
    const int lane = thread() % 32;
    const std::int64_t block = std::int64_t{block_x()} * (threads() / 32) + thread() / 32;
    const std::int64_t first = block * kColumns;
    if (first >= columns) return;
    const std::int64_t end = min(first + kColumns, columns);
    for (std::int64_t row = block_y(); row < rows; row += grid_y()) {
      float best = -INFINITY;
      auto best_at = static_cast<std::int32_t>(first);
      std::int32_t odd = 0;
      for (std::int64_t c = first + lane; c < end; c += 32) {
        const float value = logits[row][c];
        if (!hostdevice::is_finite(value)) odd = 1;
        if (value > best) {
          best = value;
          best_at = static_cast<std::int32_t>(c);
        }
      }
      for (int mask = 16; mask > 0; mask /= 2) {
        const float other = shuffle_xor(best, mask);
        const std::int32_t other_at = shuffle_xor(best_at, mask);
        if (other > best || (other == best && other_at < best_at)) {
          best = other;
          best_at = other_at;
        }
        odd |= shuffle_xor(odd, mask);
      }
      if (lane == 0) {
        values[row][block] = best;
        at[row][block] = hostdevice::marked_if(odd != 0, best_at);
      }
    }
  }
};

/// Cosines and sines of the rotary embedding.
struct RotaryTable {
  static constexpr int kThreads = 64;
  const std::int32_t* positions;
  const float* inverse_frequencies;
  float scale;
  Rows<float> cosines;
  Rows<float> sines;
  std::int64_t rows;
  std::int64_t half;

  WEFT_DEVICE void operator()() const {
    const std::int64_t j = column_here();
    if (j >= half) return;
    for (std::int64_t row = block_y(); row < rows; row += grid_y()) {
      const float angle = static_cast<float>(positions[row]) * inverse_frequencies[j];
      cosines[row][j] = static_cast<float>(hostdevice::cos_d(angle)) * scale;
      sines[row][j] = static_cast<float>(hostdevice::sin_d(angle)) * scale;
    }
  }
};

/// Where a weight lies: in tiles for bf16, row by row for f32.
template <class T>
WEFT_DEVICE std::int64_t place_of(const ProductLeaves& leaves, std::int64_t row,
                                  std::int64_t column) {
  if constexpr (sizeof(T) == 2) {
    return weight_place(leaves, row, column);
  } else {
    return row * leaves.at[leaves.count - 1].end + column;
  }
}

/// Weights [rows, columns] into a packed matrix at (row0, column0).
template <class T>
struct PackWeights {
  static constexpr int kThreads = kRowThreads;
  static constexpr bool kPacks = true;
  ProductLeaves leaves;
  Rows<const T> from;
  T* to;
  std::int64_t row0;
  std::int64_t column0;
  std::int64_t rows;
  std::int64_t columns;

  WEFT_DEVICE void operator()() const {
    const std::int64_t c = column_here();
    if (c >= columns) return;
    for (std::int64_t row = block_y(); row < rows; row += grid_y()) {
      to[place_of<T>(leaves, row0 + row, column0 + c)] = from[row][c];
    }
  }
};

/// out[i] = row index[i] of a packed table, widened; negative rows are left alone.
template <class T>
struct Embed {
  static constexpr int kThreads = kRowThreads;
  ProductLeaves leaves;
  const T* table;
  const std::int32_t* index;
  Rows<float> out;
  std::int64_t rows;
  std::int64_t columns;

  WEFT_DEVICE void operator()() const {
    const std::int64_t c = column_here();
    if (c >= columns) return;
    for (std::int64_t row = block_y(); row < rows; row += grid_y()) {
      const std::int32_t from = index[row];
      if (from >= 0) out[row][c] = widen(table[place_of<T>(leaves, from, c)]);
    }
  }
};

}  // namespace weft::WEFT_PLATFORM
