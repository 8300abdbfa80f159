#include "model/model.h"

#include <utility>

#include "base/error.h"
#include "ops/op_sizes.h"
#include "ops/ops.h"

namespace weft {

Model::Model(Weights weights, const Partition& part, const EngineShape& shape, Ops& ops,
             ReplicaGroups& groups, Tracer& tracer, const RegionFactory& region)
    : groups_(groups),
      part_(part),
      shape_(shape),
      tracer_(tracer),
      weights_(std::move(weights)),
      cache_(kv_shape(part_, shape.block_tokens, shape.kv_blocks), ops),
      workspace_(part_, shape.step, ops, message_memory(groups.tp(), ops)),
      device_tokens_(part_, shape, ops),
      region_(region(region_shape(part_, shape, ops), ops, groups.tp())),
      ffns_(part_, weights_, workspace_, shape.transport, *region_, ops, groups.tp(),
            groups.experts()),
      kv_exchange_(part_, shape.step.max_rows, ops, groups.sp()),
      link_(part_.stage, shape.step.max_rows, part_.config.hidden, ops, groups.pp(), tracer),
      vocabulary_(part_.stage.last()
                      ? std::make_unique<Vocabulary>(part_, shape.step.logit_rows, ops, groups.tp())
                      : nullptr),
      decoder_(part_, weights_, cache_, workspace_, device_tokens_,
               {*region_, ffns_, kv_exchange_, link_}, groups.traffic(), ops, tracer) {
  require(shape.sp == groups.sp().size(), "a model for {} sp ranks in a group of {}", shape.sp,
          groups.sp().size());
  ops.reserve_workspace(largest_rows(part_, shape.step), largest_k(part_), part_.config.head_dim);
}

Vocabulary& Model::vocabulary() {
  require(vocabulary_ != nullptr, "stage {} has no logits", part_.stage.index);
  return *vocabulary_;
}

}  // namespace weft
