#include "model/weights.h"

#include <string>

namespace weft {
namespace {

Matrix make_matrix(const MatrixShape& shape, Ops& ops) {
  return {shape, Buffer(ops.memory(), ops.matrix_bytes(shape))};
}

/// A host array of `rows` rows of the matrix's element type, as `pack` wants it. The bytes are only
/// read.
Tensor host_rows(std::span<const std::byte> bytes, DType dtype, std::int64_t rows,
                 std::int64_t columns) {
  return {const_cast<std::byte*>(bytes.data()), dtype, {rows, columns}};
}

/// Reads one model into one rank's matrices and vectors.
class Loader {
 public:
  Loader(ModelReader& reader, const Partition& part, Ops& ops)
      : reader_(reader), part_(part), ops_(ops) {}

  /// A table of the vocabulary.
  Matrix vocabulary(const std::string& name) {
    Matrix matrix = make_matrix(part_.vocabulary(), ops_);
    pack_rows(matrix, 0, name, part_.shard.vocab);
    return matrix;
  }

  Vector vector(const std::string& name) {
    return vector({{name, {0, reader_.tensor(name).rows()}}});
  }

  LayerWeights layer(std::int64_t index) {
    const std::string prefix = "model.layers." + std::to_string(index) + ".";
    const std::string attention = prefix + "self_attn.";
    const ModelConfig& config = part_.config;
    LayerWeights layer;
    layer.attention_norm = vector(prefix + "input_layernorm.weight");
    layer.qkv = qkv(attention);
    if (config.qkv_bias) layer.qkv_bias = qkv_bias(attention);
    if (config.qk_norm) {
      layer.q_norm = vector(attention + "q_norm.weight");
      layer.k_norm = vector(attention + "k_norm.weight");
    }
    layer.o = by_segments(part_.o(), attention + "o_proj.weight");
    if (config.output_bias) layer.o_bias = vector(attention + "o_proj.bias");
    layer.ffn_norm = vector(prefix + "post_attention_layernorm.weight");
    layer.gate_up = make_matrix(part_.gate_up(), ops_);
    pack_rows(layer.gate_up, 0, prefix + "mlp.gate_proj.weight", part_.shard.ffn);
    pack_rows(layer.gate_up, part_.shard.ffn.size(), prefix + "mlp.up_proj.weight",
              part_.shard.ffn);
    layer.down = by_segments(part_.down(), prefix + "mlp.down_proj.weight");
    return layer;
  }

 private:
  struct Rows {
    std::string name;
    Range rows;
  };

  [[nodiscard]] Range rows_of_heads(Range heads) const {
    return {heads.begin * part_.heads.head_dim, heads.end * part_.heads.head_dim};
  }

  Matrix qkv(const std::string& attention) {
    const Range q = rows_of_heads(part_.shard.query_heads);
    const Range kv = rows_of_heads(part_.shard.kv_heads);
    Matrix matrix = make_matrix(part_.qkv(), ops_);
    pack_rows(matrix, 0, attention + "q_proj.weight", q);
    pack_rows(matrix, q.size(), attention + "k_proj.weight", kv);
    pack_rows(matrix, q.size() + kv.size(), attention + "v_proj.weight", kv);
    return matrix;
  }

  Vector qkv_bias(const std::string& attention) {
    const Range kv = rows_of_heads(part_.shard.kv_heads);
    return vector({{attention + "q_proj.bias", rows_of_heads(part_.shard.query_heads)},
                   {attention + "k_proj.bias", kv},
                   {attention + "v_proj.bias", kv}});
  }

  void pack_rows(const Matrix& to, std::int64_t row0, const std::string& name, Range rows) {
    const TensorSpec& spec = reader_.tensor(name);
    reader_.read_rows(spec, rows,
                      [&](std::int64_t first, std::span<const std::byte> bytes, std::int64_t n) {
                        ops_.pack(to, row0 + first - rows.begin, 0,
                                  host_rows(bytes, part_.dtype, n, spec.columns()));
                      });
  }

  /// A matrix that is cut along K: the rank's segments side by side.
  Matrix by_segments(const MatrixShape& shape, const std::string& name) {
    Matrix matrix = make_matrix(shape, ops_);
    const TensorSpec& spec = reader_.tensor(name);
    const Segments& segments = column_segments(spec, part_.segments);
    const std::int64_t first_column = segments.columns_of(shape.cut.leaves).begin;
    for (std::int64_t leaf = shape.cut.leaves.begin; leaf < shape.cut.leaves.end; ++leaf) {
      const Range columns = segments.columns_of(static_cast<int>(leaf));
      reader_.read_segment(
          spec, static_cast<int>(leaf),
          [&](std::int64_t first, std::span<const std::byte> bytes, std::int64_t n) {
            ops_.pack(matrix, first, columns.begin - first_column,
                      host_rows(bytes, part_.dtype, n, columns.size()));
          });
    }
    return matrix;
  }

  /// Rows of one-dimensional tensors, one behind the other, widened to f32.
  Vector vector(const std::vector<Rows>& parts) {
    std::vector<float> values;
    for (const Rows& part : parts) {
      reader_.read_rows(reader_.tensor(part.name), part.rows,
                        [&](std::int64_t, std::span<const std::byte> bytes, std::int64_t n) {
                          const Tensor rows = host_rows(bytes, part_.dtype, n, 1);
                          append_widened(rows, values);
                        });
    }
    Vector vector;
    vector.size = static_cast<std::int64_t>(values.size());
    vector.storage = Buffer(ops_.memory(), values.size() * sizeof(float));
    ops_.upload(std::as_bytes(std::span(values)), vector.tensor());
    return vector;
  }

  static void append_widened(const Tensor& from, std::vector<float>& to) {
    if (from.dtype() == DType::f32) {
      const auto values = from.span<float>();
      to.insert(to.end(), values.begin(), values.end());
    } else {
      for (const std::uint16_t bits : from.span<std::uint16_t>()) {
        to.push_back(f32_from_bf16(bits));
      }
    }
  }

  ModelReader& reader_;
  const Partition& part_;
  Ops& ops_;
};

}  // namespace

Weights load_weights(ModelReader& reader, const Partition& part, Ops& ops) {
  Loader loader(reader, part, ops);
  Weights weights;
  weights.embedding = loader.vocabulary("model.embed_tokens.weight");
  for (std::int64_t layer = 0; layer < part.layers; ++layer) {
    weights.layers.push_back(loader.layer(layer));
  }
  weights.final_norm = loader.vector("model.norm.weight");
  if (!part.config.tied_embeddings) weights.head = loader.vocabulary("lm_head.weight");
  return weights;
}

Bytes weight_bytes(const Partition& part, const Ops& ops) {
  const ModelConfig& config = part.config;
  std::int64_t vector_elements = 2 * config.hidden;
  if (config.qkv_bias) vector_elements += part.qkv_columns();
  if (config.qk_norm) vector_elements += 2 * config.head_dim;
  if (config.output_bias) vector_elements += config.hidden;
  const Bytes layer = ops.matrix_bytes(part.qkv()) + ops.matrix_bytes(part.o()) +
                      ops.matrix_bytes(part.gate_up()) + ops.matrix_bytes(part.down()) +
                      static_cast<Bytes>(vector_elements) * sizeof(float);
  const Bytes tables = (config.tied_embeddings ? 1U : 2U) * ops.matrix_bytes(part.vocabulary());
  return tables + static_cast<Bytes>(part.layers) * layer +
         static_cast<Bytes>(config.hidden) * sizeof(float);
}

}  // namespace weft
