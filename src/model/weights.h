// The weights of one rank, loaded from a model directory.
#pragma once

#include <optional>
#include <vector>

#include "base/buffer.h"
#include "model/model_reader.h"
#include "model/partition.h"
#include "ops/matrix.h"
#include "ops/ops.h"

namespace weft {

/// A vector of f32 parameters (a norm's weight or a bias); empty when the model has none.
struct Vector {
  Buffer storage;
  std::int64_t size = 0;

  /// [size] f32; undefined when empty.
  [[nodiscard]] Tensor tensor() const {
    return size == 0 ? Tensor() : storage.tensor(DType::f32, {size});
  }
};

/// One decoder layer.
struct LayerWeights {
  Vector attention_norm;  ///< [hidden]
  Matrix qkv;             ///< rows: own query heads, own key heads, own value heads
  Vector qkv_bias;        ///< [rows of qkv]
  Vector q_norm;          ///< [head_dim]
  Vector k_norm;          ///< [head_dim]
  Matrix o;               ///< [hidden, own heads * head_dim]
  Vector o_bias;          ///< [hidden]
  Vector ffn_norm;        ///< [hidden]
  Matrix gate_up;         ///< rows: own gates, own ups
  Matrix down;            ///< [hidden, own ffn columns]
};

/// All weights of one rank.
struct Weights {
  Matrix embedding;  ///< own rows of the vocabulary; also the head of models that tie them
  std::vector<LayerWeights> layers;
  Vector final_norm;           ///< [hidden]
  std::optional<Matrix> head;  ///< own rows of the vocabulary; none when tied

  [[nodiscard]] const Matrix& output_head() const { return head ? *head : embedding; }
};

/// Reads this rank's part, checking digests on the way. Throws UserError for damage.
Weights load_weights(ModelReader& reader, const Partition& part, Ops& ops);

/// Bytes that `load_weights` takes from `ops.memory()`.
Bytes weight_bytes(const Partition& part, const Ops& ops);

}  // namespace weft
