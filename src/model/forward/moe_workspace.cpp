#include "model/forward/moe_workspace.h"
#include "ops/ops.h"

namespace weft {

MoeWorkspace::Sizes MoeWorkspace::sizes_of(const MoePartition& part, std::int64_t hidden,
                                           DType dtype, std::int64_t max_rows) {
  const std::int64_t pairs = part.most_pairs(max_rows);
  const std::int64_t columns = part.ffn.size();
  const auto floats = [](std::int64_t count) { return static_cast<Bytes>(count) * sizeof(float); };
  Sizes sizes;
  sizes.logits = floats(max_rows * part.config.experts);
  sizes.chosen = floats(max_rows * part.config.per_token);
  sizes.gate_up = floats(pairs * 2 * columns);
  sizes.activated = static_cast<Bytes>(pairs * columns) * size_of(dtype);
  sizes.outputs = floats(part.own_nodes() * pairs * hidden);
  sizes.sum = floats(max_rows * hidden);
  if (part.shared()) {
    sizes.shared_gate = floats(max_rows);
    sizes.shared = floats(max_rows * hidden);
  }
  return sizes;
}

Bytes MoeWorkspace::bytes(const MoePartition& part, std::int64_t hidden, DType dtype,
                          std::int64_t max_rows) {
  const Sizes sizes = sizes_of(part, hidden, dtype, max_rows);
  return sizes.logits + 2 * sizes.chosen + sizes.gate_up + sizes.activated + sizes.outputs +
         sizes.sum + sizes.shared_gate + sizes.shared;
}

MoeWorkspace::MoeWorkspace(const MoePartition& part, std::int64_t hidden, DType dtype,
                           std::int64_t max_rows, Ops& ops)
    : part_(part), hidden_(hidden), dtype_(dtype) {
  const Sizes sizes = sizes_of(part, hidden, dtype, max_rows);
  logits_ = Buffer(ops.memory(), sizes.logits);
  experts_ = Buffer(ops.memory(), sizes.chosen);
  weights_ = Buffer(ops.memory(), sizes.chosen);
  gate_up_ = Buffer(ops.memory(), sizes.gate_up);
  activated_ = Buffer(ops.memory(), sizes.activated);
  outputs_ = Buffer(ops.memory(), sizes.outputs);
  sum_ = Buffer(ops.memory(), sizes.sum);
  shared_gate_ = Buffer(ops.memory(), sizes.shared_gate);
  shared_ = Buffer(ops.memory(), sizes.shared);
}

Tensor MoeWorkspace::logits(std::int64_t m) const {
  return logits_.tensor(DType::f32, {m, part_.config.experts});
}
Tensor MoeWorkspace::experts(std::int64_t m) const {
  return experts_.tensor(DType::i32, {m, part_.config.per_token});
}
Tensor MoeWorkspace::weights(std::int64_t m) const {
  return weights_.tensor(DType::f32, {m, part_.config.per_token});
}
Tensor MoeWorkspace::gate_up(std::int64_t pairs) const {
  return gate_up_.tensor(DType::f32, {pairs, 2 * part_.ffn.size()});
}
Tensor MoeWorkspace::activated(std::int64_t pairs) const {
  return activated_.tensor(dtype_, {pairs, part_.ffn.size()});
}
Tensor MoeWorkspace::outputs(std::int64_t pairs) const {
  return outputs_.tensor(DType::f32, {part_.own_nodes(), pairs, hidden_});
}
Tensor MoeWorkspace::sum(std::int64_t m) const { return sum_.tensor(DType::f32, {m, hidden_}); }
Tensor MoeWorkspace::shared_gate(std::int64_t m) const {
  return shared_gate_.tensor(DType::f32, {m, 1});
}
Tensor MoeWorkspace::shared(std::int64_t m) const {
  return shared_.tensor(DType::f32, {m, hidden_});
}

}  // namespace weft
