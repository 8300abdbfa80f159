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

#include "comm/control/activity.h"
#include "comm/control/claims.h"
#include "comm/group.h"

namespace weft {

class ControlService;

/// What the main thread and the service thread of a rank tell each other.
struct ControlBoard {
  Activity activity;

  mutable std::mutex mutex;  ///< of all that follows
  std::condition_variable to_service;
  std::condition_variable to_main;
  bool nudged = false;  ///< there is something new for the service thread

  double watchdog_seconds = 0;     ///< 0: no watchdog
  int status_at_stop = 0;          ///< what the process ends with, see end_on_stop; 0: it does not
  int status_when_hung = 1;        ///< see end_when_hung
  bool connect = false;            ///< MPI has started: the ranks are to hear of each other
  int rank = -1;                   ///< -1: not known
  std::vector<std::string> hosts;  ///< of all ranks, once they are known
  std::uint64_t world = 0;         ///< the group of all ranks
  bool stop_wanted = false;        ///< this rank asks the job to stop
  bool stop = false;               ///< the job stops
  std::vector<std::pair<std::uint64_t, std::vector<int>>> new_groups;

  int replica = 0;                    ///< this rank's
  std::unique_ptr<ClaimTable> table;  ///< on rank 0, once there is work
  bool claim_wanted = false;          ///< on leaders: more work is wanted
  std::deque<Range> granted;
  bool exhausted = false;

  bool done = false;      ///< this rank has finished its work
  bool all_done = false;  ///< every rank has
  bool closing = false;
  bool closed = false;  ///< all ranks have come so far
  bool ended = false;   ///< the service thread is to end
  Progress progress;    ///< on rank 0: of all replicas
};

/// Job-wide control. Each rank has a service thread with messages of its own, which sleeps but for
/// some ten microseconds 25 times a second. Rank 0's thread hears of all ranks about once a second,
/// hands out requests and passes on the wish to stop; its main thread computes like everybody's.
///
/// When a rank is silent longer than the watchdog's time, or is waited for so long and gets nothing
/// done, or gets nothing done for kStillness times as long although nobody waits, the job ends
/// everywhere: one message on standard error names who is behind, in what, and who waits, and every
/// process leaves, without MPI's help, with the status of `end_when_hung`. Finished rows are in the
/// journal. Before MPI has started, after it has been left, and with one rank, each rank watches
/// itself alone.
///
/// Where MPI does not let threads call it, the replicas have fixed shares, signals stop only those
/// ranks that get them, and each rank ends the job when one of its own waits within a replica lasts
/// too long.
class JobControl {
 public:
  /// Begins to watch; MPI need not have started. `watchdog_seconds` 0: nobody is ever late.
  /// `stop_requested`, when given, is polled for signals. `rank`: as the launcher
  /// tells it; -1: no launcher.
  JobControl(double watchdog_seconds, bool (*stop_requested)(), int rank = -1);
  JobControl(const JobControl&) = delete;
  JobControl& operator=(const JobControl&) = delete;
  /// Closes, unless an exception is on its way, and ends the watch.
  ~JobControl();

  /// The watchdog's time from now on. Not after `connect`.
  void set_watchdog(double seconds);
  /// Until `connect`, a request to stop ends this process at once, with that status: the main
  /// thread may hang, and nothing is begun that could be lost.
  void end_on_stop(int status);
  /// What every process leaves with when the watch ends the job; 1 unless it is called.
  void end_when_hung(int status);
  /// MPI has started: from now on the ranks hear of each other. Every rank of the job must call it;
  /// nobody waits. `threads`: whether threads may call MPI.
  void connect(bool threads);
  void connect();
  /// The group of all ranks, watched. Every rank must call it once, after `connect`.
  std::unique_ptr<Group> make_world();
  /// Returns when all ranks have called it: from now on they hear of each other no more, and each
  /// watches itself alone. Nothing else may be called then.
  void close();

  /// Whether the ranks' threads reach each other.
  [[nodiscard]] bool connected() const { return connected_; }
  [[nodiscard]] Activity& activity() { return board_.activity; }
  /// The same group, whose waits count; see make_watched_group. What is split off a watched group
  /// is watched.
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
  template <class Change>
  void tell(const Change& change);
  void claim_here();

  bool (*stop_requested_)();
  int rank_ = 0;
  bool connected_ = false;
  bool closed_ = false;
  std::unique_ptr<StaticShare> share_;  ///< where nothing can be claimed
  ControlBoard board_;
  std::uint64_t watched_ = 0;  ///< groups given to `watch`
  std::unique_ptr<ControlService> service_;
};

}  // namespace weft
