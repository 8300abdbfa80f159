#include "model/pipe.h"

#include "base/error.h"

namespace weft {

Pipe::Pipe(const Stage& stage, std::int64_t max_rows, std::int64_t hidden, Ops& ops, Group& group)
    : stage_(stage), group_(group), ops_(ops), copy_(ops.memory(), bytes(stage, max_rows, hidden)) {
  require(group.size() == stage.count && group.rank() == stage.index,
          "stage {} of {} is rank {} of {}", stage.index, stage.count, group.rank(), group.size());
}

Bytes Pipe::bytes(const Stage& stage, std::int64_t max_rows, std::int64_t hidden) {
  if (stage.last()) return 0;
  return static_cast<Bytes>(max_rows) * static_cast<Bytes>(hidden) * sizeof(float);
}

void Pipe::receive(const Tensor& residual) {
  require(!stage_.first(), "the first stage receives nothing");
  group_.receive({residual.data(), residual.bytes()}, stage_.index - 1);
}

void Pipe::send(const Tensor& residual) {
  require(!stage_.last(), "the last stage sends nothing");
  group_.finish_sends();
  ops_.copy(residual, copy_.tensor(DType::f32, {residual.rows(), residual.row_elements()}));
  group_.start_send({copy_.data(), residual.bytes()}, stage_.index + 1);
}

}  // namespace weft
