// What asks the job to stop at the next step: signals, and the end of its time.
#pragma once

namespace weft {

/// From its construction on SIGTERM, SIGINT and SIGUSR1 (what schedulers send before they kill) set
/// a flag instead of ending the process. However often they come, they mean the same. The previous
/// handling returns with the destructor. One object at a time.
class StopRequest {
 public:
  StopRequest();
  StopRequest(const StopRequest&) = delete;
  StopRequest& operator=(const StopRequest&) = delete;
  ~StopRequest();

  /// From that many seconds after the construction on the request is pending, too.
  void limit(double seconds);

  /// Whether one of the signals has come, or the time is up. Every rank has clocks and signals of
  /// its own: what to do about it the ranks decide together.
  [[nodiscard]] static bool pending();
  /// Whether one of the signals has come.
  [[nodiscard]] static bool signalled();
};

}  // namespace weft
