#include "comm/control/activity.h"

#include <fmt/format.h>

#include "base/progress_counter.h"

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
    case Operation::split:
      return "the making of a group";
    case Operation::work:
      return "a claim of requests";
    case Operation::others:
      return "the end of the other replicas";
  }
  return "computing";
}

bool is_collective(Operation operation) {
  switch (operation) {
    case Operation::all_gather:
    case Operation::all_to_all:
    case Operation::broadcast:
    case Operation::barrier:
    case Operation::split:
      return true;
    default:
      return false;
  }
}

std::string place_of(const RankState& state) {
  if (!is_collective(state.operation)) return name(state.operation);
  return fmt::format("{} {}", name(state.operation), state.call);
}

std::string describe(const RankState& state) {
  const bool waits = state.operation != Operation::none;
  switch (state.phase) {
    case JobPhase::job_file:
      return "reading the job file";
    case JobPhase::launching:
      return "in MPI_Init, which waits for all ranks";
    case JobPhase::starting:
      return "starting";
    case JobPhase::prompts:
      return waits ? "waiting while prompts are read" : "reading prompts or journal";
    case JobPhase::loading:
      return waits ? "waiting while weights are loaded" : "loading the weights";
    case JobPhase::finished:
      return "finished";
    case JobPhase::results:
      return waits ? "waiting while results are written" : "writing the results";
    case JobPhase::leaving:
      return "in MPI_Finalize, which waits for all ranks";
    case JobPhase::running:
      break;
  }
  if (waits) return fmt::format("in step {}, waiting in {}", state.step, place_of(state));
  std::string text = fmt::format("in step {}, computing", state.step);
  if (state.work != Phase::other) text += fmt::format(" ({})", name(state.work));
  return text;
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
  const std::int64_t beaten = progress_count();
  const bool same = state_.changes == seen_ && beaten == beats_;
  state_.ticks = same ? state_.ticks + 1 : 0;
  seen_ = state_.changes;
  beats_ = beaten;
  state_.work = latest_phase();
  return state_;
}

void Activity::enter(Operation operation, std::uint64_t group, std::int64_t call, int peer) {
  const std::lock_guard lock(mutex_);
  if (depth_++ > 0) return;
  state_.operation = operation;
  state_.group = group;
  state_.call = call;
  state_.peer = peer;
  ++state_.changes;
}

void Activity::leave() {
  const std::lock_guard lock(mutex_);
  if (--depth_ > 0) return;
  state_.operation = Operation::none;
  ++state_.changes;
}

}  // namespace weft
