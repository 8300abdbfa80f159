#include "comm/activity.h"

namespace weft {

const char* name(Operation operation) {
  switch (operation) {
    case Operation::none:
      break;
    case Operation::all_gather:
      return "all-gather";
    case Operation::all_to_all:
      return "all-to-all";
    case Operation::broadcast:
      return "broadcast";
    case Operation::send:
      return "send";
    case Operation::receive:
      return "receive";
    case Operation::barrier:
      return "barrier";
    case Operation::work:
      return "a claim of requests";
    case Operation::others:
      return "the end of the other replicas";
  }
  return "computing";
}

void Activity::begin_phase(JobPhase phase) {
  const std::lock_guard lock(mutex_);
  state_.phase = phase;
  ++state_.changes;
}

void Activity::begin_step() {
  const std::lock_guard lock(mutex_);
  ++state_.step;
  ++state_.changes;
}

void Activity::set_progress(const Progress& progress) {
  const std::lock_guard lock(mutex_);
  state_.progress = progress;
}

RankState Activity::state() const {
  const std::lock_guard lock(mutex_);
  return state_;
}

RankState Activity::look() {
  const std::lock_guard lock(mutex_);
  state_.looks = state_.changes == seen_ ? state_.looks + 1 : 0;
  seen_ = state_.changes;
  return state_;
}

void Activity::enter(Operation operation, std::uint64_t group, std::int64_t call, int peer) {
  const std::lock_guard lock(mutex_);
  state_.operation = operation;
  state_.group = group;
  state_.call = call;
  state_.peer = peer;
  ++state_.changes;
}

void Activity::leave() {
  const std::lock_guard lock(mutex_);
  state_.operation = Operation::none;
  ++state_.changes;
}

}  // namespace weft
