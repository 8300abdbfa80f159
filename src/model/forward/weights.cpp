#include "model/forward/weights.h"
#include "ops/matrix.h"
#include "ops/ops.h"

#include <algorithm>
#include <string>
#include <utility>

namespace weft {
namespace {

Matrix make_matrix(const MatrixShape& shape, Ops& ops) {
  return {shape, Buffer(ops.memory(), ops.matrix_bytes(shape))};
}

MatrixStack make_stack(const MatrixShape& shape, std::int64_t count, Ops& ops) {
  return {shape, count, Buffer(ops.memory(), static_cast<Bytes>(count) * ops.matrix_bytes(shape))};
}

/// A host array of `rows` rows of the matrix's element type, as `pack` wants it. The bytes are only
/// read.
Tensor host_rows(std::span<const std::byte> bytes, DType dtype, std::int64_t rows,
                 std::int64_t columns) {
  return {const_cast<std::byte*>(bytes.data()), dtype, {rows, columns}};
}

/// Reads one model into one rank's matrices and vectors. Matrices are made at once and filled by
/// `fill`; until then they must stay where they are.
class Loader {
 public:
  Loader(ModelReader& reader, const Partition& part, Ops& ops)
      : reader_(reader), part_(part), ops_(ops) {}

  /// Reads all matrices, with as many threads as are of use.
  void fill() {
    // Not a part of what the plan counts, where operators run in the host's memory.
    HostMemory own;
    Memory& staging = &ops_.host_memory() == &ops_.memory() ? own : ops_.host_memory();
    reader_.read_all(tasks_, ops_.pack_threads(), {staging, [this] { return ops_.make_fence(); }});
    tasks_.clear();
  }

  /// A table of the vocabulary.
  void vocabulary(std::string_view name, Matrix& matrix) {
    matrix = make_matrix(part_.vocabulary(), ops_);
    pack_rows(matrix, 0, std::string(name), part_.shard.vocab);
  }

  Vector vector(const std::string& name) {
    return vector({{name, {0, reader_.tensor(name).rows()}}});
  }

  void attention(std::int64_t index, LayerWeights& layer) {
    const ModelConfig& config = part_.config;
    const std::string attention = layer_tensor(index, names_.attention);
    layer.attention_norm = vector(layer_tensor(index, names_.attention_norm));
    qkv(attention, layer.qkv);
    if (config.qkv_bias) layer.qkv_bias = qkv_bias(attention);
    if (config.qk_norm) {
      layer.q_norm = vector(attention + "q_norm.weight");
      layer.k_norm = vector(attention + "k_norm.weight");
    }
    by_segments(part_.o(), attention + "o_proj.weight", layer.o);
    if (config.output_bias) layer.o_bias = vector(attention + "o_proj.bias");
  }

  void ffn(std::int64_t index, LayerWeights& layer) {
    layer.ffn_norm = vector(layer_tensor(index, names_.ffn_norm));
    if (part_.config.moe.is_sparse(index)) {
      experts(index, layer.moe.emplace());
    } else {
      const std::string block = layer_tensor(index, names_.ffn);
      gate_up(part_.gate_up(), block, part_.shard.ffn, layer.gate_up);
      by_segments(part_.down(), block + "down_proj.weight", layer.down);
    }
  }

 private:
  struct Rows {
    std::string name;
    Range rows;
  };

  [[nodiscard]] Range rows_of_heads(Range heads) const {
    return {heads.begin * part_.heads.head_dim, heads.end * part_.heads.head_dim};
  }

  void qkv(const std::string& attention, Matrix& matrix) {
    const Range q = rows_of_heads(part_.shard.query_heads);
    const Range kv = rows_of_heads(part_.shard.kv_heads);
    matrix = make_matrix(part_.qkv(), ops_);
    pack_rows(matrix, 0, attention + "q_proj.weight", q);
    pack_rows(matrix, q.size(), attention + "k_proj.weight", kv);
    pack_rows(matrix, q.size() + kv.size(), attention + "v_proj.weight", kv);
  }

  /// Gates and ups of the columns `ffn`.
  void gate_up(const MatrixShape& shape, const std::string& block, Range ffn, Matrix& matrix) {
    matrix = make_matrix(shape, ops_);
    pack_rows(matrix, 0, block + "gate_proj.weight", ffn);
    pack_rows(matrix, ffn.size(), block + "up_proj.weight", ffn);
  }

  void experts(std::int64_t layer, MoeWeights& weights) {
    const MoePartition& moe = part_.moe;
    const auto name = [layer](std::string_view tensor) { return layer_tensor(layer, tensor); };
    weights.router = make_matrix(moe.router, ops_);
    pack_rows(weights.router, 0, name(names_.router), {0, moe.config.experts});
    weights.gate_up = make_stack(moe.gate_up, moe.experts.size(), ops_);
    pack_experts(weights.gate_up, 0, name(names_.expert_gate));
    pack_experts(weights.gate_up, moe.ffn.size(), name(names_.expert_up));
    weights.down = make_stack(moe.down, moe.experts.size(), ops_);
    pack_expert_segments(weights.down, name(names_.expert_down));
    if (!moe.shared()) return;
    const std::string shared = name(names_.shared);
    weights.shared_gate = make_matrix(moe.shared_gate, ops_);
    pack_rows(weights.shared_gate, 0, name(names_.shared_gate), {0, 1});
    gate_up(moe.shared_gate_up, shared, part_.shard.shared_ffn, weights.shared_gate_up);
    by_segments(moe.shared_down, shared + "down_proj.weight", weights.shared_down);
  }

  /// Hands `rows` of stacked experts (numbered as in the whole tensor) to the own experts that they
  /// belong to: f(own expert, row within the expert, bytes, rows).
  template <class F>
  void by_expert(const TensorSpec& spec, std::int64_t first, std::span<const std::byte> bytes,
                 std::int64_t count, const F& f) const {
    const std::int64_t height = spec.rows_of_expert();
    const Bytes row_bytes = bytes.size() / static_cast<Bytes>(count);
    for (std::int64_t row = first; row < first + count;) {
      const std::int64_t expert = row / height;
      const std::int64_t end = std::min(first + count, (expert + 1) * height);
      f(expert - part_.moe.experts.begin, row - expert * height,
        bytes.subspan(static_cast<Bytes>(row - first) * row_bytes,
                      static_cast<Bytes>(end - row) * row_bytes),
        end - row);
      row = end;
    }
  }

  /// The own columns' rows of the own experts, from row0 on in each of the stack's matrices.
  void pack_experts(const MatrixStack& to, std::int64_t row0, const std::string& name) {
    const TensorSpec& spec = reader_.tensor(name);
    const std::int64_t height = spec.rows_of_expert();
    const Range ffn = part_.moe.ffn;
    const Range experts = part_.moe.experts;
    const auto read = [&](Range rows) {
      plan(spec, -1, rows, [this, &to, &spec, row0](auto first, auto bytes, auto n) {
        by_expert(spec, first, bytes, n, [&](auto expert, auto row, auto part, auto count) {
          ops_.pack(to, expert, row0 + row - part_.moe.ffn.begin, 0,
                    host_rows(part, part_.dtype, count, spec.columns()));
        });
      });
    };
    if (ffn.size() == height) {  // one read for all experts
      return read({experts.begin * height, experts.end * height});
    }
    for (std::int64_t expert = experts.begin; expert < experts.end; ++expert) {
      read({expert * height + ffn.begin, expert * height + ffn.end});
    }
  }

  /// The own segments of the own experts' down projections.
  void pack_expert_segments(const MatrixStack& to, const std::string& name) {
    const TensorSpec& spec = reader_.tensor(name);
    const Segments& segments = column_segments(spec, part_.segments);
    const Range own = part_.moe.segments;
    const Range experts = part_.moe.experts;
    const std::int64_t height = spec.rows_of_expert();
    for (auto leaf = static_cast<int>(own.begin); leaf < own.end; ++leaf) {
      const Range columns = segments.columns_of(leaf);
      const std::int64_t col0 = columns.begin - part_.moe.ffn.begin;
      const std::int64_t width = columns.size();
      plan(spec, leaf, {experts.begin * height, experts.end * height},
           [this, &to, &spec, col0, width](auto first, auto bytes, auto n) {
             by_expert(spec, first, bytes, n, [&](auto expert, auto row, auto part, auto count) {
               ops_.pack(to, expert, row, col0, host_rows(part, part_.dtype, count, width));
             });
           });
    }
  }

  Vector qkv_bias(const std::string& attention) {
    const Range kv = rows_of_heads(part_.shard.kv_heads);
    return vector({{attention + "q_proj.bias", rows_of_heads(part_.shard.query_heads)},
                   {attention + "k_proj.bias", kv},
                   {attention + "v_proj.bias", kv}});
  }

  void plan(const TensorSpec& spec, int segment, Range rows, RowSink sink) {
    tasks_.push_back({&spec, segment, rows, std::move(sink)});
  }

  void pack_rows(const Matrix& to, std::int64_t row0, const std::string& name, Range rows) {
    const TensorSpec& spec = reader_.tensor(name);
    plan(spec, -1, rows,
         [this, &to, &spec, shift = row0 - rows.begin](auto first, auto bytes, auto n) {
           ops_.pack(to, shift + first, 0, host_rows(bytes, part_.dtype, n, spec.columns()));
         });
  }

  /// A matrix that is cut along K: the rank's segments side by side.
  void by_segments(const MatrixShape& shape, const std::string& name, Matrix& matrix) {
    matrix = make_matrix(shape, ops_);
    const TensorSpec& spec = reader_.tensor(name);
    const Segments& segments = column_segments(spec, part_.segments);
    const std::int64_t first_column = segments.columns_of(shape.cut.leaves).begin;
    for (std::int64_t leaf = shape.cut.leaves.begin; leaf < shape.cut.leaves.end; ++leaf) {
      const Range columns = segments.columns_of(static_cast<int>(leaf));
      const std::int64_t col0 = columns.begin - first_column;
      const std::int64_t width = columns.size();
      plan(spec, static_cast<int>(leaf), {0, spec.rows()},
           [this, &matrix, col0, width](auto first, auto bytes, auto n) {
             ops_.pack(matrix, first, col0, host_rows(bytes, part_.dtype, n, width));
           });
    }
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
  const TensorNames& names_ = part_.config.family->tensors;
  Ops& ops_;
  std::vector<ReadTask> tasks_;
};

Bytes moe_bytes(const MoePartition& moe, const OpSizes& ops) {
  const auto experts = static_cast<Bytes>(moe.experts.size());
  Bytes bytes = ops.matrix_bytes(moe.router) +
                experts * (ops.matrix_bytes(moe.gate_up) + ops.matrix_bytes(moe.down));
  if (moe.shared()) {
    bytes += ops.matrix_bytes(moe.shared_gate) + ops.matrix_bytes(moe.shared_gate_up) +
             ops.matrix_bytes(moe.shared_down);
  }
  return bytes;
}

}  // namespace

Weights load_weights(ModelReader& reader, const Partition& part, Ops& ops) {
  Loader loader(reader, part, ops);
  Weights weights;
  const Stage& stage = part.stage;
  const TensorNames& names = part.config.family->tensors;
  weights.layers.reserve(static_cast<std::size_t>(stage.layers().size()));
  if (part.has_embedding()) loader.vocabulary(names.embedding, weights.embedding);
  for (std::int64_t layer = stage.layers().begin; layer < stage.layers().end; ++layer) {
    LayerWeights& loaded = weights.layers.emplace_back();
    if (stage.attention_layers().contains(layer)) loader.attention(layer, loaded);
    if (stage.ffn_layers().contains(layer)) loader.ffn(layer, loaded);
  }
  if (stage.last()) weights.final_norm = loader.vector(std::string(names.final_norm));
  if (part.has_head()) loader.vocabulary(names.head, weights.head.emplace());
  loader.fill();
  return weights;
}

Bytes weight_bytes(const Partition& part, const OpSizes& ops) {
  const ModelConfig& config = part.config;
  const auto vector_bytes = [](std::int64_t elements) {
    return static_cast<Bytes>(elements) * sizeof(float);
  };
  std::int64_t attention_vectors = config.hidden;
  if (config.qkv_bias) attention_vectors += part.qkv_columns();
  if (config.qk_norm) attention_vectors += 2 * config.head_dim;
  if (config.output_bias) attention_vectors += config.hidden;
  const Bytes attention =
      ops.matrix_bytes(part.qkv()) + ops.matrix_bytes(part.o()) + vector_bytes(attention_vectors);
  Bytes total = static_cast<Bytes>(part.stage.attention_layers().size()) * attention;
  for (std::int64_t l = part.stage.ffn_layers().begin; l < part.stage.ffn_layers().end; ++l) {
    total += vector_bytes(config.hidden);
    total += config.moe.is_sparse(l)
                 ? moe_bytes(part.moe, ops)
                 : ops.matrix_bytes(part.gate_up()) + ops.matrix_bytes(part.down());
  }
  if (part.has_embedding()) total += ops.matrix_bytes(part.vocabulary());
  if (part.has_head()) total += ops.matrix_bytes(part.vocabulary());
  if (part.stage.last()) total += vector_bytes(config.hidden);
  return total;
}

}  // namespace weft
