#include "engine/step_record.h"

#include <string_view>

#include "base/error.h"

namespace weft {

StepRecord::StepRecord(ReplicaGroups& groups, Tracer& tracer)
    : groups_(groups), tracer_(tracer), sent_(static_cast<std::size_t>(groups.pp().size())) {}

std::vector<SampledToken> StepRecord::joined(std::vector<SampledToken> own,
                                             std::span<const Sample> samples) {
  if (groups_.sp().size() == 1) return own;
  std::string mine;
  for (const SampledToken& choice : own) choice.append_to(mine);
  const std::vector<std::string> texts = gather_strings(groups_.sp(), mine);
  std::vector<std::string_view> left(texts.begin(), texts.end());
  std::vector<SampledToken> all;
  for (const Sample& sample : samples) {
    all.push_back(SampledToken::read_from(left[static_cast<std::size_t>(sample.owner)]));
  }
  return all;
}

std::vector<SampledToken> StepRecord::publish(std::vector<SampledToken> own,
                                              std::span<const Sample> samples) {
  if (samples.empty()) return {};
  std::vector<SampledToken> all = joined(std::move(own), samples);
  Group& stages = groups_.pp();
  if (stages.size() == 1) return all;
  Sent& sent = sent_[next_];
  next_ = (next_ + 1) % sent_.size();
  {
    const Tracer::Scope scope(tracer_, Phase::bubble);
    stages.finish_sends(sent.ticket);
  }
  sent.text.clear();
  for (const SampledToken& choice : all) choice.append_to(sent.text);
  sent.bytes = sent.text.size();
  for (int stage = 0; stage + 1 < stages.size(); ++stage) {
    stages.start_send(std::as_bytes(std::span(&sent.bytes, 1)), stage);
    sent.ticket = stages.start_send(std::as_bytes(std::span(sent.text)), stage);
  }
  return all;
}

std::vector<SampledToken> StepRecord::receive(std::span<const Sample> samples) {
  if (samples.empty()) return {};
  const Tracer::Scope scope(tracer_, Phase::bubble);
  Group& stages = groups_.pp();
  const int last = stages.size() - 1;
  std::uint64_t bytes = 0;
  stages.receive(std::as_writable_bytes(std::span(&bytes, 1)), last);
  std::string text(bytes, '\0');
  stages.receive(std::as_writable_bytes(std::span(text)), last);
  std::string_view left = text;
  std::vector<SampledToken> all;
  for (std::size_t i = 0; i < samples.size(); ++i) all.push_back(SampledToken::read_from(left));
  require(left.empty(), "{} bytes too many in the record of a step", left.size());
  return all;
}

}  // namespace weft
