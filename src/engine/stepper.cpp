#include "engine/stepper.h"

#include "engine/logit_edits.h"

namespace weft {

void advance_sequences(StepInFlight& step, EngineState& state, std::int64_t max_sequence_length) {
  for (const Slice& slice : step.slices) {
    Sequence& sequence = state.sequence(slice);
    const bool generates = slice.samples && !sequence.only_prompt();
    if (generates) ++sequence.unseen;
    sequence.leaves = slice.samples && (sequence.generated() + sequence.unseen >=
                                            sequence.request.sampling.max_tokens ||
                                        sequence.length() >= max_sequence_length);
    if (generates && !sequence.leaves && edits_follow_tokens(sequence.request)) step.waits = true;
    state.scheduler.complete(slice, sequence.leaves);
  }
  // Of a shared prompt, the last row may be computed elsewhere than the decodes to come.
  for (const Sample& sample : step.samples) {
    const Slice& slice = step.slices[sample.slice];
    const Sequence& sequence = state.sequence(slice);
    const bool goes_on = slice.samples && !sequence.only_prompt() && !sequence.leaves;
    if (sample.owner != slice.home && goes_on) step.waits = true;
  }
}

void settle_advanced(const Slice& slice, EngineState& state, const Stepper::Outcome& outcome) {
  Sequence& sequence = state.sequence(slice);
  if (outcome.generated) --sequence.unseen;
  if (outcome.ended && !sequence.leaves) state.scheduler.end(slice.sequence);
}

}  // namespace weft
