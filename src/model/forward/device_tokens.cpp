#include "model/forward/device_tokens.h"

#include "base/error.h"
#include "model/forward/ffn.h"
#include "ops/op_sizes.h"
#include "ops/ops.h"
#include "ops/rank_merge.h"

namespace weft {

DeviceTokens::DeviceTokens(const Partition& part, const EngineShape& shape, Ops& ops)
    : ops_(ops), own_(part.shard.vocab), buffer_(ops.memory(), bytes(part, shape, ops)) {
  if (possible()) places_ = buffer_.tensor(DType::i32, {count(part, shape, ops)});
}

std::int64_t DeviceTokens::count(const Partition& part, const EngineShape& shape,
                                 const OpSizes& ops) {
  const bool possible = shape.async_scheduling && part.stage.count == 1 &&
                        ops.sampling_bytes(1, 1) > 0 && FfnLayers::repeats(part);
  return possible ? shape.step.max_sequences : 0;
}

Bytes DeviceTokens::bytes(const Partition& part, const EngineShape& shape, const OpSizes& ops) {
  return static_cast<Bytes>(count(part, shape, ops)) * sizeof(TokenId);
}

void DeviceTokens::put_into(const TableLookup& lookup, const StepIndices& indices) const {
  require(possible(), "a step names tokens of the one before it, which were not kept");
  DeviceTokenLookup device_tokens;
  device_tokens.own = own_;
  if (indices.holders.defined()) {
    device_tokens.rows = indices.table_rows.slice(0, lookup.device_tokens);
    device_tokens.order = indices.order;
    device_tokens.holders = indices.holders;
  } else {
    device_tokens.rows = indices.table_rows.slice(0, lookup.rows_of.front());
  }
  ops_.sampler()->merge().resolve_device_tokens(places_, device_tokens);
}

}  // namespace weft
