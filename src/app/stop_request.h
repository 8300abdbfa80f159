// What asks the job to stop at the next step: signals, and the end of its time.
#pragma once

namespace weft {

/// From its construction on SIGTERM, SIGINT and SIGUSR1 (what schedulers send before they kill) set
/// a flag instead of ending the process. However often they come, they mean the same. The previous
/// handling returns with the destructor. One object at a time.
///
/// SIGUSR1, of which schedulers send but one, waits from the program's first instruction on: the
/// first object takes it, however early it came, and after the last one it waits again.
class StopRequest {
 public:
  StopRequest();
  StopRequest(const StopRequest&) = delete;
  StopRequest& operator=(const StopRequest&) = delete;
  ~StopRequest();

  /// SIGUSR1 waits no more, in a command that has no object of this class.
  static void let_through();

  /// From that many seconds after the construction on the request is pending, too.
  void limit(double seconds);

  /// Whether one of the signals has come, or the time is up. Every rank has clocks and signals of
  /// its own: what to do about it the ranks decide together.
  [[nodiscard]] static bool pending();
  /// Whether one of the signals has come.
  [[nodiscard]] static bool signalled();
};

}  // namespace weft
