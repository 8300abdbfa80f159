// The weights of one rank, loaded from a model directory.
#pragma once

#include <optional>
#include <vector>

#include "base/buffer.h"
#include "model/files/model_reader.h"
#include "model/parallel/partition.h"
#include "ops/matrix.h"
#include "ops/op_sizes.h"

namespace weft {

class Ops;

/// A vector of f32 parameters (a norm's weight or a bias); empty when the model has none.
struct Vector {
  Buffer storage;
  std::int64_t size = 0;

  /// [size] f32; undefined when empty.
  [[nodiscard]] Tensor tensor() const {
    return size == 0 ? Tensor() : storage.tensor(DType::f32, {size});
  }
};

/// The feed-forward part of a layer with experts.
struct MoeWeights {
  Matrix router;        ///< [experts, hidden]
  MatrixStack gate_up;  ///< of each own expert: own gates, own ups
  MatrixStack down;     ///< of each own expert: [hidden, own columns]
  Matrix shared_gate;   ///< [1, hidden]; this and the next two are empty where no expert is shared
  Matrix shared_gate_up;  ///< rows: own gates, own ups
  Matrix shared_down;     ///< [hidden, own columns]
};

/// One decoder layer, or the part of it that the stage computes.
struct LayerWeights {
  Vector attention_norm;  ///< [hidden]
  Matrix qkv;             ///< rows: own query heads, own key heads, own value heads
  Vector qkv_bias;        ///< [rows of qkv]
  Vector q_norm;          ///< [head_dim]
  Vector k_norm;          ///< [head_dim]
  Matrix o;               ///< [hidden, own heads * head_dim]
  Vector o_bias;          ///< [hidden]
  Vector ffn_norm;        ///< [hidden]
  Matrix gate_up;         ///< rows: own gates, own ups; empty in a layer with experts
  Matrix down;            ///< [hidden, own ffn columns]; empty in a layer with experts
  std::optional<MoeWeights> moe;
};

/// All weights of one rank.
struct Weights {
  Matrix embedding;                  ///< own rows of the vocabulary, where the stage needs it
  std::vector<LayerWeights> layers;  ///< of the stage, from `stage.layers().begin` on
  Vector final_norm;                 ///< [hidden], in the last stage
  std::optional<Matrix> head;  ///< own rows of the vocabulary, in the last stage; none when tied

  [[nodiscard]] const Matrix& output_head() const { return head ? *head : embedding; }
};

/// Reads this rank's part, checking digests on the way. Throws UserError for damage.
Weights load_weights(ModelReader& reader, const Partition& part, Ops& ops);

/// Bytes that `load_weights` takes from `ops.memory()`.
Bytes weight_bytes(const Partition& part, const OpSizes& ops);

}  // namespace weft
