#include "model/model.h"

namespace weft {

Model::Model(ModelReader& reader, const Partition& part, const EngineShape& shape, Ops& ops,
             Group& group)
    : part_(part),
      shape_(shape),
      weights_(load_weights(reader, part_, ops)),
      cache_(kv_shape(part_, shape.page_tokens, shape.pages), ops),
      workspace_(part_, shape.step, ops),
      region_(make_region(region_shape(part_, shape), ops, group)),
      vocabulary_(part_, shape.step.logit_rows, ops, group),
      decoder_(part_, weights_, cache_, workspace_, *region_, ops) {
  ops.reserve_workspace(shape.step.max_rows, largest_k(part_), part_.config.head_dim);
}

}  // namespace weft
