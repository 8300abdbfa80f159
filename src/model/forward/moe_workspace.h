// The activations of layers with experts, allocated once.
#pragma once

#include <cstdint>

#include "base/buffer.h"
#include "base/tensor.h"
#include "model/parallel/moe_partition.h"

namespace weft {

class Ops;

/// Pieces of memory for steps of up to max_rows rows in each domain. M: rows of the step, P: pairs
/// of the rank's experts.
class MoeWorkspace {
 public:
  MoeWorkspace(const MoePartition& part, std::int64_t hidden, DType dtype, std::int64_t max_rows,
               Ops& ops);

  /// Bytes that a workspace of that shape takes.
  static Bytes bytes(const MoePartition& part, std::int64_t hidden, DType dtype,
                     std::int64_t max_rows);

  /// [M, experts] f32
  [[nodiscard]] Tensor logits(std::int64_t m) const;
  /// [M, k] i32
  [[nodiscard]] Tensor experts(std::int64_t m) const;
  /// [M, k] f32
  [[nodiscard]] Tensor weights(std::int64_t m) const;
  /// [P, 2 * own columns] f32
  [[nodiscard]] Tensor gate_up(std::int64_t pairs) const;
  /// [P, own columns] w
  [[nodiscard]] Tensor activated(std::int64_t pairs) const;
  /// [own nodes, P, hidden] f32
  [[nodiscard]] Tensor outputs(std::int64_t pairs) const;
  /// [M, hidden] f32: what the layer adds to the residual
  [[nodiscard]] Tensor sum(std::int64_t m) const;
  /// [M, 1] f32 and [M, hidden] f32 of the shared expert
  [[nodiscard]] Tensor shared_gate(std::int64_t m) const;
  [[nodiscard]] Tensor shared(std::int64_t m) const;

 private:
  struct Sizes {
    Bytes logits = 0;
    Bytes chosen = 0;  ///< [M, k] of 4 bytes
    Bytes gate_up = 0;
    Bytes activated = 0;
    Bytes outputs = 0;
    Bytes sum = 0;
    Bytes shared_gate = 0;
    Bytes shared = 0;
  };
  static Sizes sizes_of(const MoePartition& part, std::int64_t hidden, DType dtype,
                        std::int64_t max_rows);

  const MoePartition& part_;
  std::int64_t hidden_;
  DType dtype_;
  Buffer logits_;
  Buffer experts_;
  Buffer weights_;
  Buffer gate_up_;
  Buffer activated_;
  Buffer outputs_;
  Buffer sum_;
  Buffer shared_gate_;
  Buffer shared_;
};

}  // namespace weft
