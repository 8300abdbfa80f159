// Tokens that were chosen in a step and stay where the operators run, for the next step to read.
#pragma once

#include <cstdint>

#include "base/buffer.h"
#include "model/partition.h"
#include "model/workspace.h"
#include "ops/ops.h"

namespace weft {

/// There are some where one rank is the whole replica and its operators choose tokens: elsewhere
/// the ranks must tell each other which they are, or another rank looks them up.
class KeptTokens {
 public:
  /// Places for all sequences of a step; none unless one of `sp` ranks that share prompts is all
  /// there are. `ops` must outlive it.
  KeptTokens(const Partition& part, const StepShape& shape, int sp, Ops& ops);

  /// Bytes that it takes from the operators' memory.
  static Bytes bytes(const Partition& part, const StepShape& shape, int sp, const OpSizes& ops);

  /// Whether tokens can be kept here.
  [[nodiscard]] bool possible() const { return buffer_.bytes() > 0; }
  /// [sequences] i32; undefined where none can be kept.
  [[nodiscard]] Tensor places() const { return places_; }

  /// Of rows of the embedding table [M] i32, the negative ones (`kept_token`) become the tokens
  /// kept there. Throws Error where none can be kept.
  void put_into(const Tensor& table_rows) const;

 private:
  Ops& ops_;
  Buffer buffer_;
  Tensor places_;
};

}  // namespace weft
