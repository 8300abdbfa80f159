#include "model/forward/workspace.h"

#include <algorithm>

#include "model/forward/step_indices.h"
#include "ops/ops.h"

namespace weft {

std::array<Workspace::Extent, Workspace::kPieces> Workspace::extents(const Partition& part,
                                                                     const StepShape& shape) {
  const ModelConfig& config = part.config;
  const std::int64_t m = shape.max_rows;
  const std::int64_t r = part.stage.last() ? shape.logit_rows : 0;
  const DType w = part.dtype;
  const auto nodes =
      static_cast<std::int64_t>(std::max({part.o().cut.nodes.size(), part.down().cut.nodes.size(),
                                          part.moe.shared_down.cut.nodes.size(), std::size_t{1}}));
  const std::int64_t ffn = std::max(part.dense_columns(), part.shard.shared_ffn.size());
  std::array<Extent, kPieces> all;
  const auto set = [&](Piece piece, DType dtype, std::int64_t elements) {
    all[static_cast<std::size_t>(piece)] = {dtype, elements};
  };
  set(Piece::indices, DType::i32,
      index_count({m, shape.max_sequences, shape.table_width, part.ranks}));
  set(Piece::logit_rows, DType::i32, r);
  set(Piece::residual, DType::f32, m * config.hidden);
  set(Piece::normed, w, m * config.hidden);
  set(Piece::wide, DType::f32, m * std::max(part.qkv_columns(), 2 * ffn));
  set(Piece::queries, w, m * part.query_columns());
  set(Piece::inner, w, m * std::max(part.query_columns(), ffn));
  set(Piece::parts, DType::f32, nodes * m * config.hidden);
  set(Piece::cosines, DType::f32, m * config.head_dim / 2);
  set(Piece::sines, DType::f32, m * config.head_dim / 2);
  set(Piece::last_rows, DType::f32, r * config.hidden);
  set(Piece::last_normed, w, r * config.hidden);
  set(Piece::logits, DType::f32, r * part.shard.vocab.size());
  return all;
}

Bytes Workspace::bytes(const Partition& part, const StepShape& shape) {
  Bytes total = 0;
  for (const Extent& extent : extents(part, shape)) {
    total += static_cast<Bytes>(extent.elements) * size_of(extent.dtype);
  }
  return total;
}

Workspace::Workspace(const Partition& part, const StepShape& shape, Ops& ops, Memory& messages)
    : shape_(shape),
      hidden_(part.config.hidden),
      queries_(part.query_columns()),
      half_head_(part.config.head_dim / 2),
      vocabulary_(part.shard.vocab.size()),
      extents_(extents(part, shape)) {
  for (std::size_t i = 0; i < kPieces; ++i) {
    const Extent& extent = extents_[i];
    Memory& memory = static_cast<Piece>(i) == Piece::parts ? messages : ops.memory();
    buffers_[i] = Buffer(memory, static_cast<Bytes>(extent.elements) * size_of(extent.dtype));
  }
}

Tensor Workspace::view(Piece piece, std::int64_t rows, std::int64_t columns) const {
  const auto i = static_cast<std::size_t>(piece);
  return buffers_[i].tensor(extents_[i].dtype, {rows, columns});
}

Tensor Workspace::parts(std::int64_t nodes, std::int64_t m) const {
  const auto i = static_cast<std::size_t>(Piece::parts);
  return buffers_[i].tensor(DType::f32, {nodes, m, hidden_});
}

Tensor Workspace::logits(std::int64_t r) const {
  const auto i = static_cast<std::size_t>(Piece::logits);
  return buffers_[i].tensor(DType::f32, {1, r, vocabulary_});
}

}  // namespace weft
