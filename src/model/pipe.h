// The edge between two stages of a pipeline: activations go from one to the next.
#pragma once

#include <cstdint>

#include "base/buffer.h"
#include "comm/group.h"
#include "layout/stages.h"
#include "ops/ops.h"

namespace weft {

/// What travels between the stages at the same place of the other axes.
class Pipe {
 public:
  /// Room for `max_rows` rows of `hidden` columns. `group` are the stages; it and `ops` must
  /// outlive the pipe.
  Pipe(const Stage& stage, std::int64_t max_rows, std::int64_t hidden, Ops& ops, Group& group);

  /// Bytes that such a pipe takes: a copy of the rows on their way, except in the last stage.
  static Bytes bytes(const Stage& stage, std::int64_t max_rows, std::int64_t hidden);

  /// Fills residual [M, hidden] f32 with what the stage before sent. Not in the first stage.
  void receive(const Tensor& residual);
  /// Sends residual [M, hidden] f32 to the next stage and returns when it has been copied: the next
  /// batch may be computed while it travels. Not in the last stage.
  void send(const Tensor& residual);

 private:
  Stage stage_;
  Group& group_;
  Ops& ops_;
  Buffer copy_;
};

}  // namespace weft
