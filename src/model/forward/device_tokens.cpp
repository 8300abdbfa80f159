#include "model/forward/device_tokens.h"

#include "base/error.h"
#include "model/forward/ffn.h"

namespace weft {

KeptTokens::KeptTokens(const Partition& part, const EngineShape& shape, Ops& ops)
    : ops_(ops), own_(part.shard.vocab), buffer_(ops.memory(), bytes(part, shape, ops)) {
  if (possible()) places_ = buffer_.tensor(DType::i32, {count(part, shape, ops)});
}

std::int64_t KeptTokens::count(const Partition& part, const EngineShape& shape,
                               const OpSizes& ops) {
  const bool possible = shape.run_ahead && part.stage.count == 1 && ops.sampling_bytes(1, 1) > 0 &&
                        FfnLayers::repeats(part);
  return possible ? shape.step.max_sequences : 0;
}

Bytes KeptTokens::bytes(const Partition& part, const EngineShape& shape, const OpSizes& ops) {
  return static_cast<Bytes>(count(part, shape, ops)) * sizeof(TokenId);
}

void KeptTokens::put_into(const TableLookup& lookup, const StepIndices& indices) const {
  require(possible(), "a step names tokens of the one before it, which were not kept");
  KeptLookup kept;
  kept.own = own_;
  if (indices.holders.defined()) {
    kept.rows = indices.table_rows.slice(0, lookup.kept);
    kept.order = indices.order;
    kept.holders = indices.holders;
  } else {
    kept.rows = indices.table_rows.slice(0, lookup.rows_of.front());
  }
  ops_.sampler()->put_kept(places_, kept);
}

}  // namespace weft
