// The service thread of one rank.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <thread>
#include <unordered_map>
#include <vector>

#include "comm/control/heartbeat_monitor.h"
#include "comm/control/job_control.h"
#include "comm/control/mailbox.h"
#include "comm/control/watch_time.h"

namespace weft {

struct ControlMessage;

/// Sends heartbeats and hears them, watches, and carries what stands on the board to the other
/// ranks. All letters go to rank 0 or come from it. Until the board says `connect`, and after it
/// has said `closed`, it watches its own rank alone.
class ControlService {
 public:
  /// Starts the thread. `stop_requested` may be null.
  ControlService(ControlBoard& board, bool (*stop_requested)());
  ControlService(const ControlService&) = delete;
  ControlService& operator=(const ControlService&) = delete;
  /// Ends the thread, when the board says `ended`.
  ~ControlService();

 private:
  using Clock = std::chrono::steady_clock;

  void run();
  void serve();
  bool sleep();
  void end_on_stop();
  void learn_watchdog();
  void connect();
  void leave();
  void learn_hosts();

  void send(const ControlMessage& message, int to);
  void send_to_all(const ControlMessage& message);
  void receive_all();
  void handle(int from, const std::vector<std::byte>& bytes);
  void answer_claim(int from, const ControlMessage& claim);
  void take_grant(const ControlMessage& grant);

  void pass_on_stop();
  void pass_on_groups();
  void pass_on_claim();
  void pass_on_done();
  void pass_on_end();

  void look();
  void check_self(const RankState& state);
  [[nodiscard]] std::string own_name() const;
  [[noreturn]] void end_hung_job(const std::string& why);
  [[noreturn]] void end_job(const std::string& why, int status);

  ControlBoard& board_;
  WatchTime time_;
  bool (*stop_requested_)();
  int rank_ = -1;                            ///< -1: not known
  std::vector<std::string> hosts_;           ///< of all ranks, once they are known
  std::optional<Mailbox> mailbox_;           ///< while ranks hear of each other
  std::optional<HeartbeatMonitor> monitor_;  ///< the same

  Clock::time_point next_look_;
  Clock::time_point lively_until_;  ///< something is going on: poll often
  Clock::time_point claim_again_;
  bool claim_under_way_ = false;
  bool stop_told_ = false;
  bool done_told_ = false;
  int done_ = 0;  ///< on rank 0: ranks that have finished their work
  bool bye_told_ = false;
  int byes_ = 0;  ///< on rank 0: ranks that will send nothing more
  bool left_ = false;
  std::unordered_map<int, int> replica_of_;  ///< of ranks that have claimed
  std::thread thread_;
};

}  // namespace weft
