// The tensors of a model by their Hugging Face names, and how each is cut.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/types.h"
#include "layout/segments.h"
#include "model/config/config.h"

namespace weft {

/// What the rows or columns of a tensor are made of; decides where it may be cut between ranks.
enum class Axis {
  whole,           ///< norms, biases of whole rows, routers: never cut
  query_rows,      ///< rows by query head
  kv_rows,         ///< rows by key/value head
  ffn_rows,        ///< rows by feed-forward column
  vocab_rows,      ///< rows by block of 256 vocabulary rows
  o_columns,       ///< columns by segment of the attention output
  down_columns,    ///< columns by segment of the feed-forward width
  expert_rows,     ///< rows by expert, within it by column of the expert's width
  expert_columns,  ///< columns by segment of an expert's width; rows by expert
  shared_rows,     ///< rows by column of the shared expert's width
  shared_columns   ///< columns by segment of the shared expert's width
};

/// One tensor of a model directory. The experts of a layer are stacked, one behind the other along
/// the rows; such a tensor has the checkpoint's names without the expert's number.
struct TensorSpec {
  std::string name;
  std::vector<std::int64_t> shape;  ///< one or two extents, [rows] or [rows, columns]
  Axis axis = Axis::whole;
  std::int64_t layer = 0;    ///< -1 for the embedding, `layers` for the final norm and the head
  std::int64_t experts = 0;  ///< stacked in this tensor; 0: an ordinary tensor

  [[nodiscard]] std::int64_t rows() const { return shape[0]; }
  [[nodiscard]] std::int64_t columns() const { return shape.size() > 1 ? shape[1] : 1; }
  [[nodiscard]] std::int64_t rows_of_expert() const { return rows() / experts; }
  [[nodiscard]] bool cut_by_columns() const {
    return axis == Axis::o_columns || axis == Axis::down_columns || axis == Axis::expert_columns ||
           axis == Axis::shared_columns;
  }
};

/// The largest segment counts of the numerics contract, as stored in a model's manifest.
struct SegmentCaps {
  int split = 8;  ///< for o, down and a shared expert's down: their K is split between ranks
  int whole = 4;  ///< for an expert's down, and products whose K is whole on every rank
  bool operator==(const SegmentCaps&) const = default;
};

/// The canonical cuts of a model's products.
struct ModelSegments {
  Segments hidden;       ///< K = hidden: q/k/v, gate/up, router, head
  Segments o;            ///< K = query_heads * head_dim, by head
  Segments down;         ///< K = ffn, by 16 columns
  Segments expert_down;  ///< K = width of an expert, by 16 columns; empty for dense models
  Segments shared_down;  ///< K = width of the shared expert; empty where there is none
};
ModelSegments segments_of(const ModelConfig& config, const SegmentCaps& caps);

/// Rows of a block of the vocabulary, a constant of the numerics contract.
inline constexpr std::int64_t kVocabBlock = 256;

/// Full name of a layer's tensor: "model.layers.N." with what a Family calls it, in one part or
/// two.
std::string layer_tensor(std::int64_t layer, std::string_view name, std::string_view rest = {});

/// All tensors of the model, in the order of the forward pass: embedding, layers, norm, head (the
/// head only when it is not tied to the embedding).
std::vector<TensorSpec> tensors_of(const ModelConfig& config);

/// Name of an expert's own tensor in a checkpoint: its number stands behind ".experts.".
std::string name_in_checkpoint(const TensorSpec& tensor, std::int64_t expert);

/// What one tensor-parallel rank computes with.
struct Shard {
  Range query_heads;  ///< whole segments of o
  Range kv_heads;     ///< every KV head that one of its query heads uses; ranks may share one
  Range o_segments;
  Range down_segments;
  Range ffn;    ///< columns of its down segments
  Range vocab;  ///< rows of its vocabulary blocks; may be empty
  Range shared_segments;
  Range shared_ffn;  ///< columns of its segments of the shared expert; empty where there is none
};
Shard shard_of(const ModelConfig& config, const ModelSegments& segments, int rank, int ranks);

/// Rows of a row-cut tensor that part `rank` of `ranks` stores in its shard file: like `shard_of`,
/// but KV heads are stored once. The parts are disjoint and cover the tensor.
Range stored_rows(const TensorSpec& tensor, const ModelConfig& config,
                  const ModelSegments& segments, int rank, int ranks);

/// The cut along K of a column-cut tensor.
const Segments& column_segments(const TensorSpec& tensor, const ModelSegments& segments);

}  // namespace weft
