// Which sub-layers each stage of a pipeline computes. Pure arithmetic.
#pragma once

#include <span>
#include <vector>

#include "base/types.h"

namespace weft {

/// A stage's consecutive sub-layers: number 2 * l is the attention of layer l, 2 * l + 1 its ffn.
/// The first stage also looks up the embedding, the last one computes the head.
struct Stage {
  int index = 0;
  int count = 1;
  Range sublayers;

  [[nodiscard]] bool first() const { return index == 0; }
  [[nodiscard]] bool last() const { return index + 1 == count; }
  /// Layers of which the stage computes anything.
  [[nodiscard]] Range layers() const { return {sublayers.begin / 2, ceil_div(sublayers.end, 2)}; }
  /// Layers whose attention (and key/value cache) is in the stage.
  [[nodiscard]] Range attention_layers() const {
    return {ceil_div(sublayers.begin, 2), ceil_div(sublayers.end, 2)};
  }
  /// Layers whose ffn is in the stage.
  [[nodiscard]] Range ffn_layers() const { return {sublayers.begin / 2, sublayers.end / 2}; }
  bool operator==(const Stage&) const = default;
};

/// Cuts the sub-layers into `stages` runs, none empty, so that the most expensive run costs least
/// (among equals the earlier stages get more). `costs` are of any unit, one for each sub-layer.
/// Throws Error when there are fewer sub-layers than stages.
std::vector<Stage> cut_stages(std::span<const double> costs, int stages);

}  // namespace weft
