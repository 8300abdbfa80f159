#include "comm/control/job_control.h"

#include <chrono>
#include <exception>

#include "comm/control/control_service.h"
#include "comm/mpi_group.h"
#include "comm/session.h"
#include "comm/watched_group.h"

namespace weft {
namespace {

constexpr std::chrono::milliseconds kRetry(20);

}  // namespace

JobControl::JobControl(double watchdog_seconds, bool (*stop_requested)(), int rank)
    : stop_requested_(stop_requested) {
  board_.rank = rank;
  board_.watchdog_seconds = watchdog_seconds;
  service_ = std::make_unique<ControlService>(board_, stop_requested);
}

JobControl::~JobControl() {
  if (std::uncaught_exceptions() == 0) close();
  tell([&] { board_.ended = true; });
  service_.reset();
}

/// Changes the board and wakes the service thread.
template <class Change>
void JobControl::tell(const Change& change) {
  {
    const std::lock_guard lock(board_.mutex);
    change();
    board_.nudged = true;
  }
  board_.to_service.notify_one();
}

void JobControl::set_watchdog(double seconds) {
  tell([&] { board_.watchdog_seconds = seconds; });
}

void JobControl::end_on_stop(int status) {
  tell([&] { board_.status_at_stop = status; });
}

void JobControl::end_when_hung(int status) {
  tell([&] { board_.status_when_hung = status; });
}

void JobControl::connect() { connect(threads_may_call_mpi()); }

void JobControl::connect(bool threads) {
  board_.activity.begin_phase(JobPhase::starting);
  const WorldPlace place = world_place();
  rank_ = place.rank;
  connected_ = threads && place.size > 1;
  tell([&] {
    board_.rank = rank_;
    board_.status_at_stop = 0;
    board_.connect = connected_;
  });
}

std::unique_ptr<Group> JobControl::make_world() {
  std::unique_ptr<Group> world;
  {
    const Activity::Wait wait(board_.activity, Operation::split, 0, 1);
    world = watch(make_world_group());
  }
  std::vector<std::string> hosts = gather_strings(*world, host_name());
  tell([&] {
    board_.hosts = std::move(hosts);
    board_.world = board_.activity.state().group;
  });
  return world;
}

void JobControl::close() {
  if (closed_) return;
  closed_ = true;
  if (connected_) {
    const Activity::Wait wait(board_.activity, Operation::others);
    tell([&] { board_.closing = true; });
    std::unique_lock lock(board_.mutex);
    board_.to_main.wait(lock, [this] { return board_.closed; });
  }
  board_.activity.begin_phase(JobPhase::leaving);
}

std::unique_ptr<Group> JobControl::watch(std::unique_ptr<Group> group) {
  return make_watched_group(std::move(group), board_.activity, rank_, ++watched_,
                            [this](std::uint64_t name, const std::vector<int>& members) {
                              if (!connected_) return;
                              const std::lock_guard lock(board_.mutex);
                              board_.new_groups.emplace_back(name, members);
                            });
}

bool JobControl::stop_asked() const {
  if (stop_requested_ != nullptr && stop_requested_()) return true;
  const std::lock_guard lock(board_.mutex);
  return board_.stop;
}

void JobControl::ask_to_stop() {
  tell([&] {
    board_.stop_wanted = true;
    board_.stop = board_.stop || !connected_;
  });
}

void JobControl::open_work(std::vector<Range> open, int replica, int replicas) {
  const std::lock_guard lock(board_.mutex);
  board_.replica = replica;
  if (!connected_ && replicas > 1) {
    share_ = std::make_unique<StaticShare>(open, replica, replicas);
  } else if (rank_ == 0) {
    board_.table = std::make_unique<ClaimTable>(std::move(open), replicas);
    board_.nudged = true;
    board_.to_service.notify_one();
  }
}

void JobControl::want_work() {
  const std::lock_guard lock(board_.mutex);
  if (board_.exhausted || !board_.granted.empty()) return;
  if (share_ || board_.table) return claim_here();
  if (board_.claim_wanted) return;
  board_.claim_wanted = true;
  board_.nudged = true;
  board_.to_service.notify_one();
}

/// The table, or the share, is this rank's: no message is needed. The board is locked.
void JobControl::claim_here() {
  const std::int64_t finished = board_.activity.state().progress.rows;
  const Grant grant = share_ ? share_->next() : board_.table->claim(board_.replica, finished);
  if (grant.answer == Grant::Answer::rows) board_.granted.push_back(grant.rows);
  board_.exhausted = grant.answer == Grant::Answer::exhausted;
}

Range JobControl::take_work() {
  const std::lock_guard lock(board_.mutex);
  if (board_.granted.empty()) return {};
  const Range rows = board_.granted.front();
  board_.granted.pop_front();
  return rows;
}

bool JobControl::out_of_work() const {
  const std::lock_guard lock(board_.mutex);
  return board_.exhausted && board_.granted.empty();
}

void JobControl::wait_for_work() {
  const Activity::Wait wait(board_.activity, Operation::work);
  for (;;) {
    want_work();
    if (stop_asked()) return;
    std::unique_lock lock(board_.mutex);
    if (board_.exhausted || !board_.granted.empty()) return;
    board_.to_main.wait_for(lock, kRetry);
    if (board_.exhausted || !board_.granted.empty()) return;
  }
}

void JobControl::wait_for_others() {
  board_.activity.begin_phase(JobPhase::finished);
  if (!connected_) return;
  const Activity::Wait wait(board_.activity, Operation::others);
  std::unique_lock lock(board_.mutex);
  board_.done = true;
  board_.nudged = true;
  board_.to_service.notify_one();
  board_.to_main.wait(lock, [this] { return board_.all_done; });
}

Progress JobControl::progress() const {
  if (!connected_) return board_.activity.state().progress;
  const std::lock_guard lock(board_.mutex);
  return board_.progress;
}

}  // namespace weft
