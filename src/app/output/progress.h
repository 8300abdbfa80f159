// How far a running job is, for whoever watches it.
#pragma once

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <mutex>
#include <string>
#include <thread>

#include "base/clock.h"
#include "comm/control/job_control.h"

namespace weft {

/// "12 s: 340 of 1000 requests done, 2 failed; 512.3 tokens/s; about 23 s to go". Tokens are those
/// that were generated, also of requests that go on. `before` of `requests` were done by earlier
/// runs; the counts were made in the last `busy` of the `seconds`. What is to go is told once more
/// requests are done than go on: before that the first ones to end, the shortest, tell little.
std::string progress_text(const Progress& counts, std::int64_t before, std::int64_t requests,
                          double seconds, double busy);

/// Prints progress from a thread of its own until it is destroyed: on a terminal one line that is
/// rewritten, elsewhere lines.
class ProgressLine {
 public:
  struct Job {
    std::int64_t requests = 0;
    std::int64_t done = 0;  ///< by earlier runs
    int columns = 0;        ///< see `terminal_columns`
  };

  /// The first line comes after a second, the others every `interval` seconds; 0: none. `control`
  /// is asked for the counts and must outlive it.
  ProgressLine(const Job& job, const JobControl& control, double interval);
  ProgressLine(const ProgressLine&) = delete;
  ProgressLine& operator=(const ProgressLine&) = delete;
  ~ProgressLine();

  /// What goes on, a literal: "loading the model". Null: requests are being computed.
  void tell(const char* activity) {
    activity_ = activity;
    since_ = clock_.seconds();
  }

 private:
  void watch();
  void print(double seconds);

  Job job_;
  double interval_;
  const JobControl& control_;
  std::atomic<const char*> activity_ = nullptr;
  std::atomic<double> since_ = 0;  ///< when `activity_` began
  Stopwatch clock_;
  std::mutex mutex_;
  std::condition_variable wake_;
  bool ended_ = false;
  std::thread thread_;
};

/// Columns of the terminal that standard output ends at, 80 where it does not say; 0: it is none.
/// Under mpirun: the launcher's output. To be asked before MPI starts, which makes itself a
/// launcher where there was none.
int terminal_columns();

}  // namespace weft
