#include "base/tracer.h"

#include <chrono>

namespace weft {

std::string_view name(Phase phase) {
  static constexpr std::array<std::string_view, kPhases> names = {
      "load",   "prefill",  "decode", "attention", "ffn",     "communication",
      "logits", "sampling", "output", "bubble",    "waiting", "other"};
  return names.at(static_cast<std::size_t>(phase));
}

std::int64_t Tracer::now() {
  const auto since_boot = std::chrono::steady_clock::now().time_since_epoch();
  return std::chrono::duration_cast<std::chrono::nanoseconds>(since_boot).count();
}

void Tracer::keep_spans(std::size_t most) {
  keeps_spans_ = true;
  most_ = most;
  spans_.reserve(most);
}

std::int64_t Tracer::change(Phase phase) {
  const std::int64_t time = now();
  nanoseconds_[static_cast<std::size_t>(current_)] += time - since_;
  since_ = time;
  current_ = phase;
  return time;
}

void Tracer::leave(Phase outer, std::int64_t begin) {
  const Phase phase = current_;
  const std::int64_t end = change(outer);
  if (!keeps_spans_) return;
  if (spans_.size() < most_) {
    spans_.push_back({begin, end, phase});
  } else {
    ++dropped_;
  }
}

PhaseSeconds Tracer::seconds() const {
  PhaseSeconds seconds{};
  for (std::size_t i = 0; i < kPhases; ++i) {
    seconds[i] = static_cast<double>(nanoseconds_[i]) * 1e-9;
  }
  return seconds;
}

}  // namespace weft
