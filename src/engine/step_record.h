// How every rank of a replica learns the tokens that some of them chose.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "base/tracer.h"
#include "comm/replica_groups.h"
#include "engine/sampler.h"
#include "engine/step_part.h"

namespace weft {

/// The record of a step: its choices, from the ranks of the last stage to all others. Waiting for
/// another stage is charged to Phase::bubble.
///
/// The records of as many steps as there are stages may be on their way, each in a place of its
/// own: the last stage waits only for the record that many steps ago, which the others have
/// received before the step at hand was launched (docs/internals/decisions/015).
class StepRecord {
 public:
  /// `groups` and `tracer` must outlive it.
  StepRecord(ReplicaGroups& groups, Tracer& tracer);

  /// In the last stage: brings the sp ranks' choices together and starts sending them to the other
  /// stages. `own` are this rank's, in the order of the samples that it owns. Returns the choices
  /// of all samples, in their order. This must stay until the group of the stages has finished its
  /// sends.
  std::vector<SampledToken> publish(std::vector<SampledToken> own, std::span<const Sample> samples);

  /// In the other stages: the same choices, as they arrive, of the oldest step not yet received.
  std::vector<SampledToken> receive(std::span<const Sample> samples);

 private:
  /// The choices of all sp ranks, in the order of the samples.
  std::vector<SampledToken> joined(std::vector<SampledToken> own, std::span<const Sample> samples);

  /// A record on its way to the other stages.
  struct Sent {
    std::uint64_t bytes = 0;  ///< goes first
    std::string text;
    SendTicket ticket = 0;  ///< of the last message
  };

  ReplicaGroups& groups_;
  Tracer& tracer_;
  std::vector<Sent> sent_;  ///< one for each stage, used in turn
  std::size_t next_ = 0;    ///< of these
};

}  // namespace weft
