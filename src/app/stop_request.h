// Signals that ask the job to stop at the next step.
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

  /// Whether one of the signals has come.
  [[nodiscard]] static bool pending();
};

}  // namespace weft
