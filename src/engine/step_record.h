// How every rank of a replica learns the tokens that some of them chose.
#pragma once

#include <span>
#include <string>
#include <vector>

#include "comm/replica_groups.h"
#include "engine/step_part.h"
#include "engine/token_chooser.h"

namespace weft {

/// The record of a step: its choices, from the ranks of the last stage to all others.
class StepRecord {
 public:
  /// `groups` must outlive it.
  explicit StepRecord(ReplicaGroups& groups) : groups_(groups) {}

  /// In the last stage: brings the sp ranks' choices together and starts sending them to the other
  /// stages. `own` are this rank's, in the order of the samples that it owns. Returns the choices
  /// of all samples, in their order. What is sent stays here until the next call, or until the
  /// group of the stages has finished its sends.
  std::vector<Choice> publish(std::vector<Choice> own, std::span<const Sample> samples);

  /// In the other stages: the same choices, as they arrive, of the oldest step not yet received.
  std::vector<Choice> receive(std::span<const Sample> samples);

 private:
  /// The choices of all sp ranks, in the order of the samples.
  std::vector<Choice> joined(std::vector<Choice> own, std::span<const Sample> samples);

  ReplicaGroups& groups_;
  std::string sent_;  ///< on its way
  std::uint64_t sent_bytes_ = 0;
};

}  // namespace weft
