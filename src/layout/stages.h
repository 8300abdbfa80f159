// Which sub-layers each stage of a pipeline computes. Pure arithmetic.
#pragma once

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

/// What a model's sub-layers cost, in any units: each list has one number for each of them.
struct SublayerCosts {
  std::vector<double> prefill;  ///< work of a row whose logits nobody wants
  std::vector<double> decode;   ///< work of a row whose logits are wanted
  std::vector<double> memory;   ///< of the weights
};

/// Cuts the sub-layers into `stages` runs, none empty. How many rows of a job need logits is not
/// known beforehand, so the cut serves both kinds of rows: the largest share that any stage has of
/// either kind's work is as small as it can be. Among such cuts it is the most even one: the
/// shares, those of the memory too, have the least sum of squares. Throws Error when there
/// are fewer sub-layers than stages.
std::vector<Stage> cut_stages(const SublayerCosts& costs, int stages);

}  // namespace weft
