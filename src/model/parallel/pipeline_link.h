// The edge between two stages of a pipeline: activations go from one to the next.
#pragma once

#include <cstdint>
#include <vector>

#include "base/buffer.h"
#include "base/tensor.h"
#include "base/tracer.h"
#include "comm/group.h"
#include "layout/stages.h"

namespace weft {

class Ops;

/// What travels between the stages at the same place of the other axes. Waiting for another stage
/// is charged to Phase::bubble.
///
/// As many batches may be on their way as there are stages, each in a buffer of its own: a stage
/// waits only for the send that many batches ago (docs/internals/decisions/015 says why that always
/// ends).
class PipelineLink {
 public:
  /// Room for `max_rows` rows of `hidden` columns. `group` are the stages; it, `ops` and `tracer`
  /// must outlive the pipe.
  PipelineLink(const Stage& stage, std::int64_t max_rows, std::int64_t hidden, Ops& ops,
               Group& group, Tracer& tracer);

  /// Bytes that such a pipe takes: copies of the rows of all batches on their way, except in the
  /// last stage.
  static Bytes bytes(const Stage& stage, std::int64_t max_rows, std::int64_t hidden);

  /// Bytes of the largest batch's activations, a message; 0 with one stage.
  static Bytes message_bytes(const Stage& stage, std::int64_t max_rows, std::int64_t hidden);

  /// Fills residual [M, hidden] f32 with what the stage before sent. Not in the first stage.
  void receive(const Tensor& residual);
  /// Sends residual [M, hidden] f32 to the next stage and returns when it has been copied: the next
  /// batch may be computed while it travels. Not in the last stage.
  void send(const Tensor& residual);

 private:
  /// A batch on its way.
  struct Copy {
    Buffer rows;  ///< [max_rows, hidden] f32
    SendTicket ticket = 0;
  };

  Stage stage_;
  Group& group_;
  Ops& ops_;
  Tracer& tracer_;
  std::vector<Copy> copies_;  ///< used in turn
  std::size_t next_ = 0;      ///< of the copies
};

}  // namespace weft
