#include "comm/job_control.h"

#include <chrono>
#include <exception>

#include "base/error.h"
#include "comm/control_service.h"
#include "comm/watched_group.h"

namespace weft {
namespace {

constexpr std::chrono::milliseconds kRetry(20);

}  // namespace

JobControl::JobControl(Group& world, double watchdog_seconds, bool (*stop_requested)(),
                       bool connects)
    : stop_requested_(stop_requested), rank_(world.rank()) {
  if (world.size() == 1) return;
  connected_ = connects;
  service_ = std::make_unique<ControlService>(board_, gather_strings(world, host_name()), rank_,
                                              watchdog_seconds, stop_requested, connected_);
}

JobControl::~JobControl() {
  {
    const std::lock_guard lock(board_.mutex);
    (std::uncaught_exceptions() > 0 ? board_.abandoned : board_.closing) = true;
    board_.nudged = true;
  }
  board_.to_service.notify_one();
  service_.reset();
}

std::unique_ptr<Group> JobControl::watch(std::unique_ptr<Group> group) {
  return make_watched_group(std::move(group), board_.activity, rank_, ++watched_,
                            [this](std::uint64_t name, const std::vector<int>& members) {
                              const std::lock_guard lock(board_.mutex);
                              board_.new_groups.emplace_back(name, members);
                            });
}

bool JobControl::stop_asked() const {
  if (stop_requested_()) return true;
  const std::lock_guard lock(board_.mutex);
  return board_.stop;
}

void JobControl::ask_to_stop() {
  {
    const std::lock_guard lock(board_.mutex);
    board_.stop_wanted = true;
    board_.stop = board_.stop || !connected_;
    board_.nudged = true;
  }
  board_.to_service.notify_one();
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
