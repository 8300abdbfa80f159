#include "model/recorded_steps.h"

#include <algorithm>

namespace weft {

// Layers with experts are left out: rows of padding would choose experts, whose weights would be
// read, and be counted among their tokens.
RecordedSteps::RecordedSteps(const Partition& part, const StepShape& room, Ops& ops,
                             Traffic& traffic)
    : possible_(!part.config.has_experts()),
      most_{std::min(room.max_rows, room.max_sequences), room.table_width},
      traffic_(traffic),
      recorder_(ops.make_recorder()) {}

std::optional<StepSize> RecordedSteps::size_of(const Batch& batch) const {
  const bool one_row_each = batch.rows() == batch.sequences();
  if (!possible_ || !one_row_each || batch.rows() == 0 || !batch.shared.slots.empty()) {
    return std::nullopt;
  }
  return recorder_->padded({batch.rows(), batch.table_width}, most_);
}

void RecordedSteps::run(const StepSize& size, const std::function<void()>& body) {
  const Traffic before = traffic_;
  if (recorder_->run(size, body)) {
    Traffic sent = traffic_;
    sent -= before;
    sent_.insert_or_assign(size, sent);
  } else {
    traffic_ += sent_.at(size);
  }
}

}  // namespace weft
