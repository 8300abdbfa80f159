// One rank's model, ready to compute: weights, cache, activations and the forward pass.
#pragma once

#include <memory>

#include "comm/group.h"
#include "model/decoder.h"
#include "model/footprint.h"
#include "model/vocabulary.h"

namespace weft {

/// Owns what a Decoder refers to. Takes all its memory in the constructor: exactly what
/// `footprint_of` says.
class Model {
 public:
  /// Loads the rank's weights and allocates the rest. `ops` and `group` must outlive the model.
  Model(ModelReader& reader, const Partition& part, const EngineShape& shape, Ops& ops,
        Group& group);
  Model(const Model&) = delete;
  Model& operator=(const Model&) = delete;

  [[nodiscard]] const Partition& partition() const { return part_; }
  [[nodiscard]] const EngineShape& shape() const { return shape_; }
  [[nodiscard]] Decoder& decoder() { return decoder_; }
  [[nodiscard]] Vocabulary& vocabulary() { return vocabulary_; }

 private:
  Partition part_;
  EngineShape shape_;
  Weights weights_;
  KvCache cache_;
  Workspace workspace_;
  std::unique_ptr<Region> region_;
  Vocabulary vocabulary_;
  Decoder decoder_;
};

}  // namespace weft
