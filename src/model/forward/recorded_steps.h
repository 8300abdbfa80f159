// The part of a rank's decode steps that is the same for all of one size.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <optional>

#include "comm/traffic.h"
#include "model/forward/batch.h"
#include "model/forward/ffn.h"
#include "model/forward/workspace.h"
#include "ops/recorder.h"

namespace weft {

class Ops;

/// Has the operators record and repeat it where they can; elsewhere it runs as it comes.
class RecordedSteps {
 public:
  /// `ffns`, `ops` and `traffic`, which counts what the steps send, must outlive it.
  RecordedSteps(const StepShape& room, const FfnLayers& ffns, Ops& ops, Traffic& traffic);

  /// The size that a batch is to be padded to, in rows, sequences and width of its table; nothing
  /// where it is computed as it is. All its sequences have one row then.
  [[nodiscard]] std::optional<StepSize> size_of(const Batch& batch) const;

  /// Does what `body` asks of operators and groups: the same for every step of that size.
  void run(const StepSize& size, const std::function<void()>& body);

  [[nodiscard]] RecorderCounts counts() const { return recorder_->counts(); }

 private:
  const FfnLayers& ffns_;
  StepSize most_;
  Traffic& traffic_;
  std::unique_ptr<Recorder> recorder_;
  std::map<StepSize, Traffic> sent_;  ///< in a step of each size
};

}  // namespace weft
