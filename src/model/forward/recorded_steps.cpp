#include "model/forward/recorded_steps.h"
#include "ops/ops.h"

#include <algorithm>

namespace weft {

RecordedSteps::RecordedSteps(const StepShape& room, const FfnLayers& ffns, Ops& ops,
                             Traffic& traffic)
    : ffns_(ffns),
      most_{std::min(room.max_rows, room.max_sequences), room.table_width},
      traffic_(traffic),
      recorder_(ops.make_recorder()) {}

std::optional<StepSize> RecordedSteps::size_of(const Batch& batch) const {
  const bool one_row_each = batch.rows() == batch.sequences();
  if (!one_row_each || batch.rows() == 0 || !batch.shared.slots.empty()) return std::nullopt;
  const std::optional<StepSize> size = recorder_->padded({batch.rows(), batch.table_width}, most_);
  return size && ffns_.repeats() ? size : std::nullopt;
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
