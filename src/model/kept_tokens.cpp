#include "model/kept_tokens.h"

#include "base/error.h"

namespace weft {

KeptTokens::KeptTokens(const Partition& part, const StepShape& shape, int sp, Ops& ops)
    : ops_(ops), buffer_(ops.memory(), bytes(part, shape, sp, ops)) {
  if (possible()) places_ = buffer_.tensor(DType::i32, {shape.max_sequences});
}

Bytes KeptTokens::bytes(const Partition& part, const StepShape& shape, int sp, const OpSizes& ops) {
  const bool alone = part.ranks == 1 && part.stage.count == 1 && sp == 1;
  if (!alone || ops.sampling_bytes(1, 1) == 0) return 0;
  return static_cast<Bytes>(shape.max_sequences) * sizeof(TokenId);
}

void KeptTokens::put_into(const Tensor& table_rows) const {
  require(possible(), "a step names tokens of the one before it, which were not kept");
  ops_.sampler()->put_kept(places_, table_rows);
}

}  // namespace weft
