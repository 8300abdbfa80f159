// Which piece of which tensor lies in which shard file: pure arithmetic, the same for writer and
// reader.
#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include "base/types.h"
#include "model/config/config.h"
#include "model/tensors.h"

namespace weft {

/// How a model directory is divided into files: pp ranges of layers, each cut into tp parts, and
/// its experts into tp * ep parts.
struct ShardGrid {
  int tp = 1;
  int pp = 1;
  int ep = 1;
};

/// A place in the grid. Part ep * grid.tp + tp of the experts lies there; everything else lies at
/// the places with ep = 0.
struct ShardPlace {
  int pp = 0;
  int tp = 0;
  int ep = 0;
  bool operator==(const ShardPlace&) const = default;
};

/// "shard-pp00-tp03.h5"; with ep > 0 "shard-pp00-tp03-ep01.h5".
std::string shard_name(ShardPlace place);

/// A part of a tensor that is stored as one dataset.
struct Piece {
  std::size_t tensor = 0;  ///< index in tensors_of(config)
  int segment = -1;        ///< of a column-cut tensor, else -1
  Range rows;              ///< of the whole tensor
  Range columns;           ///< of the whole tensor
  std::string dataset;     ///< the tensor's name, with "#seg03" appended for a segment

  /// Extents of the dataset: as many as the tensor has.
  [[nodiscard]] std::vector<std::int64_t> shape(const TensorSpec& tensor) const;
  /// Its first element in the whole tensor.
  [[nodiscard]] std::vector<std::int64_t> offset(const TensorSpec& tensor) const;
};

/// The tensors of one model and where their pieces lie.
class ShardPlan {
 public:
  /// Throws UserError when the grid does not suit the model: tp from 1 to 64, pp from 1 to
  /// min(layers, 64), ep 1 or, for models with experts, up to 64.
  ShardPlan(const ModelConfig& config, const SegmentCaps& caps, ShardGrid grid);

  [[nodiscard]] const std::vector<TensorSpec>& tensors() const { return tensors_; }
  [[nodiscard]] const ModelSegments& segments() const { return segments_; }
  [[nodiscard]] ShardGrid grid() const { return grid_; }

  /// All places that hold anything, pp first. (With more parts than segments some hold nothing.)
  [[nodiscard]] std::vector<ShardPlace> places() const;
  /// The pieces at a place, in the order of `tensors()`, segments ascending.
  [[nodiscard]] std::vector<Piece> pieces_at(ShardPlace place) const;
  /// The range of layers, of `grid().pp`, that holds a tensor: the embedding lies in the first,
  /// norm and head in the last.
  [[nodiscard]] int layer_part(const TensorSpec& tensor) const;

 private:
  void add_pieces(std::vector<Piece>& pieces, std::size_t index, int tp) const;
  void add_expert_pieces(std::vector<Piece>& pieces, std::size_t index, int part) const;

  ModelConfig config_;
  ShardGrid grid_;
  ModelSegments segments_;
  std::vector<TensorSpec> tensors_;
};

}  // namespace weft
