#include "model/parallel/pipeline_link.h"

#include "base/error.h"
#include "ops/ops.h"

namespace weft {

PipelineLink::PipelineLink(const Stage& stage, std::int64_t max_rows, std::int64_t hidden, Ops& ops,
                           Group& group, Tracer& tracer)
    : stage_(stage), group_(group), ops_(ops), tracer_(tracer) {
  require(group.size() == stage.count && group.rank() == stage.index,
          "stage {} of {} is rank {} of {}", stage.index, stage.count, group.rank(), group.size());
  if (stage.last()) return;
  for (int copy = 0; copy < stage.count; ++copy) {
    copies_.push_back({Buffer(ops.memory(), message_bytes(stage, max_rows, hidden)), 0});
  }
}

Bytes PipelineLink::bytes(const Stage& stage, std::int64_t max_rows, std::int64_t hidden) {
  if (stage.last()) return 0;
  return static_cast<Bytes>(stage.count) * message_bytes(stage, max_rows, hidden);
}

Bytes PipelineLink::message_bytes(const Stage& stage, std::int64_t max_rows, std::int64_t hidden) {
  if (stage.count == 1) return 0;
  return static_cast<Bytes>(max_rows) * static_cast<Bytes>(hidden) * sizeof(float);
}

void PipelineLink::receive(const Tensor& residual) {
  require(!stage_.first(), "the first stage receives nothing");
  const Tracer::Scope scope(tracer_, Phase::bubble);
  group_.receive({residual.data(), residual.bytes()}, stage_.index - 1);
}

void PipelineLink::send(const Tensor& residual) {
  require(!stage_.last(), "the last stage sends nothing");
  Copy& copy = copies_[next_];
  next_ = (next_ + 1) % copies_.size();
  {
    const Tracer::Scope scope(tracer_, Phase::bubble);
    group_.finish_sends(copy.ticket);
  }
  ops_.copy(residual, copy.rows.tensor(DType::f32, {residual.rows(), residual.row_elements()}));
  copy.ticket = group_.start_send({copy.rows.data(), residual.bytes()}, stage_.index + 1);
}

}  // namespace weft
