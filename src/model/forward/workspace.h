// The activations of a forward pass, allocated once.
#pragma once

#include <array>
#include <cstdint>

#include "base/buffer.h"
#include "base/tensor.h"
#include "model/parallel/partition.h"

namespace weft {

class Ops;

/// The largest step that a workspace has room for.
struct StepShape {
  std::int64_t max_rows = 0;       ///< rows of a batch
  std::int64_t max_sequences = 0;  ///< sequences of a batch
  std::int64_t table_width = 0;    ///< blocks of the longest sequence
  std::int64_t logit_rows = 0;     ///< rows whose logits are computed at a time
};

/// Named pieces of memory that the operators of one step read and write. Row counts of the views
/// below are those of the current batch.
class Workspace {
 public:
  /// `messages` is where what travels to other ranks is to lie.
  Workspace(const Partition& part, const StepShape& shape, Ops& ops, Memory& messages);

  /// Bytes that a workspace of that shape takes.
  static Bytes bytes(const Partition& part, const StepShape& shape);

  [[nodiscard]] const StepShape& shape() const { return shape_; }

  /// [count] i32: the index arrays of a step (model/forward/step_indices.h)
  [[nodiscard]] Tensor indices(std::int64_t count) const { return view(Piece::indices, count, 1); }
  /// [R] i32
  [[nodiscard]] Tensor logit_rows(std::int64_t r) const { return view(Piece::logit_rows, r, 1); }

  // Activations; w is the weights' type.
  /// [M, hidden] f32
  [[nodiscard]] Tensor residual(std::int64_t m) const { return view(Piece::residual, m, hidden_); }
  /// [M, hidden] w
  [[nodiscard]] Tensor normed(std::int64_t m) const { return view(Piece::normed, m, hidden_); }
  /// [M, columns] f32: the fused q/k/v product, then the fused gate/up product
  [[nodiscard]] Tensor wide(std::int64_t m, std::int64_t columns) const {
    return view(Piece::wide, m, columns);
  }
  /// [M, own heads * head_dim] w
  [[nodiscard]] Tensor queries(std::int64_t m) const { return view(Piece::queries, m, queries_); }
  /// [M, own heads * head_dim] w, or [M, own ffn columns] w: input of a row-parallel product
  [[nodiscard]] Tensor inner(std::int64_t m, std::int64_t columns) const {
    return view(Piece::inner, m, columns);
  }
  /// [nodes, M, hidden] f32: partial sums of a row-parallel product
  [[nodiscard]] Tensor parts(std::int64_t nodes, std::int64_t m) const;
  /// [M, hidden] f32: this rank's rows of the embedding
  [[nodiscard]] Tensor embedded(std::int64_t m) const { return view(Piece::parts, m, hidden_); }
  /// [M, head_dim / 2] f32
  [[nodiscard]] Tensor cosines(std::int64_t m) const { return view(Piece::cosines, m, half_head_); }
  [[nodiscard]] Tensor sines(std::int64_t m) const { return view(Piece::sines, m, half_head_); }
  /// [R, hidden] f32 and w, [1, R, own vocabulary] f32
  [[nodiscard]] Tensor last_rows(std::int64_t r) const {
    return view(Piece::last_rows, r, hidden_);
  }
  [[nodiscard]] Tensor last_normed(std::int64_t r) const {
    return view(Piece::last_normed, r, hidden_);
  }
  [[nodiscard]] Tensor logits(std::int64_t r) const;

 private:
  enum class Piece : std::size_t {
    indices,
    logit_rows,
    residual,
    normed,
    wide,
    queries,
    inner,
    parts,
    cosines,
    sines,
    last_rows,
    last_normed,
    logits,
    count
  };
  struct Extent {
    DType dtype = DType::f32;
    std::int64_t elements = 0;
  };
  static constexpr auto kPieces = static_cast<std::size_t>(Piece::count);
  static std::array<Extent, kPieces> extents(const Partition& part, const StepShape& shape);

  [[nodiscard]] Tensor view(Piece piece, std::int64_t rows, std::int64_t columns) const;

  StepShape shape_;
  std::int64_t hidden_;
  std::int64_t queries_;
  std::int64_t half_head_;
  std::int64_t vocabulary_;
  std::array<Extent, kPieces> extents_;
  std::array<Buffer, kPieces> buffers_;
};

}  // namespace weft
