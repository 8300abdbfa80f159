#include "base/tracer.h"

#include <algorithm>
#include <chrono>
#include <limits>

#include "base/progress_counter.h"

namespace weft {
namespace {

/// Marks after which the device's clock is read although nobody has waited.
constexpr std::size_t kMarks = 256;

PhaseSeconds seconds_of(const std::array<std::int64_t, kPhases>& nanoseconds) {
  PhaseSeconds seconds{};
  for (std::size_t i = 0; i < kPhases; ++i) {
    seconds[i] = static_cast<double>(nanoseconds[i]) * 1e-9;
  }
  return seconds;
}

}  // namespace

std::string_view name(Phase phase) {
  static constexpr std::array<std::string_view, kPhases> names = {
      "load",   "prefill",  "mixed",  "decode", "attention", "ffn",  "communication",
      "logits", "sampling", "output", "bubble", "waiting",   "other"};
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

bool Tracer::enter(Phase phase) {
  const bool inner =
      phase == Phase::attention || phase == Phase::ffn || phase == Phase::communication;
  const bool marked = clock_ == nullptr || keeps_spans_ || !inner;
  current_ = phase;
  count_progress(phase);
  if (marked) change({now(), true, phase});
  return marked;
}

void Tracer::leave(Phase outer, bool marked) {
  current_ = outer;
  count_progress(outer);
  if (marked) change({now(), false, outer});
}

void Tracer::change(const Change& change) {
  if (clock_ == nullptr) return charge(change, change.at);
  clock_->mark();
  pending_.push_back(change);
  if (pending_.size() % kMarks == 0) catch_up();
}

void Tracer::charge(const Change& change, std::int64_t time) {
  const auto add = [&](auto& nanoseconds, Phase phase) {
    nanoseconds[static_cast<std::size_t>(phase)] += time - since_;
  };
  add(nanoseconds_, open_.empty() ? Phase::other : open_.back().phase);
  add(outermost_, open_.empty() ? Phase::other : open_.front().phase);
  since_ = time;
  if (change.enters) {
    open_.push_back({change.phase, time});
    return;
  }
  const Open ended = open_.back();
  open_.pop_back();
  if (!keeps_spans_) return;
  if (spans_.size() < most_) {
    spans_.push_back({ended.begin, time, ended.phase});
  } else {
    ++dropped_;
  }
}

void Tracer::follow(DeviceClock& clock) {
  clock_ = &clock;
  offset_ = std::numeric_limits<std::int64_t>::min() / 2;  // until the first marks are read
}

void Tracer::catch_up() {
  if (clock_ == nullptr) return;
  gaps_.clear();
  clock_->read(gaps_);
  if (gaps_.empty()) return;
  // The two clocks drift apart. The device comes by a mark neither before the host sets it nor
  // after it is told of it; within these bounds the offset stays as it is.
  std::int64_t least = std::numeric_limits<std::int64_t>::min();
  std::int64_t time = device_time_;
  for (std::size_t i = 0; i < gaps_.size(); ++i) {
    time += gaps_[i];
    least = std::max(least, pending_[i].at - time);
  }
  const std::int64_t seen = now();
  offset_ = std::max(std::min(offset_, seen - time), least);
  for (const std::int64_t gap : gaps_) {
    device_time_ += gap;
    charge(pending_.front(), std::clamp(device_time_ + offset_, since_, seen));
    pending_.pop_front();
  }
}

PhaseSeconds Tracer::seconds() const { return seconds_of(nanoseconds_); }

PhaseSeconds Tracer::outermost_seconds() const { return seconds_of(outermost_); }

}  // namespace weft
