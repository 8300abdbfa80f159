// One job, many replicas: who lives, who stops, who computes what.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <deque>
#include <memory>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include "comm/activity.h"
#include "comm/claims.h"
#include "comm/group.h"
#include "comm/session.h"

namespace weft {

class ControlService;

/// What the main thread and the service thread of a rank tell each other.
struct ControlBoard {
  Activity activity;

  mutable std::mutex mutex;  ///< of all that follows
  std::condition_variable to_service;
  std::condition_variable to_main;
  bool nudged = false;  ///< there is something new for the service thread

  bool stop_wanted = false;  ///< this rank asks the job to stop
  bool stop = false;         ///< the job stops
  std::vector<std::pair<std::uint64_t, std::vector<int>>> new_groups;

  int replica = 0;                    ///< this rank's
  std::unique_ptr<ClaimTable> table;  ///< on rank 0, once there is work
  bool claim_wanted = false;          ///< on leaders: more work is wanted
  std::deque<Range> granted;
  bool exhausted = false;

  bool done = false;      ///< this rank has finished its work
  bool all_done = false;  ///< every rank has
  bool closing = false;
  bool abandoned = false;
  Progress progress;  ///< on rank 0: of all replicas
};

/// Job-wide control. Each rank has a service thread with messages of its own, which sleeps but for
/// some ten microseconds 25 times a second. Rank 0's thread hears of all ranks about once a second,
/// hands out requests and passes on the wish to stop; its main thread computes like everybody's.
///
/// When a rank is silent, or is waited for, longer than the watchdog's time, the job ends
/// everywhere: one message on standard error names who is behind, in what, and who waits, and every
/// process leaves with status 1, without MPI's help. Finished rows are in the journal.
///
/// With one rank there is nothing to do and no thread. Where MPI does not let threads call it, the
/// replicas have fixed shares, signals stop only those ranks that get them, and each rank ends the
/// job when one of its own waits lasts too long.
class JobControl {
 public:
  /// Every rank of the job must construct it at the same place. `watchdog_seconds` 0: nobody is
  /// ever late. `stop_requested` is polled for signals. `connects`: whether threads may call MPI.
  JobControl(Group& world, double watchdog_seconds, bool (*stop_requested)(),
             bool connects = threads_may_call_mpi());
  JobControl(const JobControl&) = delete;
  JobControl& operator=(const JobControl&) = delete;
  /// Waits for all ranks to come here, unless an exception is on its way.
  ~JobControl();

  /// Whether the ranks' threads reach each other.
  [[nodiscard]] bool connected() const { return connected_; }
  [[nodiscard]] Activity& activity() { return board_.activity; }
  /// The same group, whose waits count; see make_watched_group.
  std::unique_ptr<Group> watch(std::unique_ptr<Group> group);

  /// Whether the job is to stop: some rank has said so, a moment ago.
  [[nodiscard]] bool stop_asked() const;
  /// Asks the whole job to stop at its next step.
  void ask_to_stop();

  /// There is work: ascending ranges of requests without a row, for `replicas` replicas, of which
  /// this rank belongs to number `replica`. Every rank must call it, with the same ranges, before
  /// its leader wants work.
  void open_work(std::vector<Range> open, int replica, int replicas);
  /// On leaders: wants one more range of requests than have been taken; returns at once. Progress
  /// must be up to date.
  void want_work();
  /// The next range that was granted; empty while there is none.
  Range take_work();
  /// Everything is granted, and taken by this replica as far as it is its.
  [[nodiscard]] bool out_of_work() const;
  /// Returns when there is a range to take, or none will come, or the job stops.
  void wait_for_work();

  /// Returns when every rank has called it: replicas finish unevenly. Waits without burning cycles.
  void wait_for_others();
  /// On rank 0: what all replicas have got done, about a second ago.
  [[nodiscard]] Progress progress() const;

 private:
  void claim_here();

  bool (*stop_requested_)();
  int rank_;
  bool connected_ = false;
  std::unique_ptr<StaticShare> share_;  ///< where nothing can be claimed
  ControlBoard board_;
  std::uint64_t watched_ = 0;  ///< groups given to `watch`
  std::unique_ptr<ControlService> service_;
};

}  // namespace weft
