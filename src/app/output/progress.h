// How far a running job is, for whoever watches it.
#pragma once

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <filesystem>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "base/clock.h"

namespace weft {

/// Requests and tokens, as far as the journal tells.
struct ProgressCounts {
  std::int64_t done = 0;
  std::int64_t failed = 0;
  std::int64_t tokens = 0;  ///< generated, of finished requests
};

/// Counts what is appended to the parts of a journal, of all replicas, from its construction on. It
/// reads the files: no rank is asked for anything. Rows of other hosts may show late where the file
/// system caches.
class JournalWatch {
 public:
  JournalWatch(const std::filesystem::path& output_dir, int replicas);

  /// Reads what is new.
  ProgressCounts read();

 private:
  struct Part {
    std::filesystem::path path;
    std::uintmax_t read = 0;  ///< bytes
    std::string torn;         ///< the beginning of a line
  };

  void read(Part& part);
  void count(std::string_view line);

  std::vector<Part> parts_;
  ProgressCounts counts_;
};

/// "12 s: 340 of 1000 requests done, 2 failed; 512.3 tokens/s; about 23 s to go". `before` of
/// `requests` were done by earlier runs; the counts were made in the last `busy` of the `seconds`.
std::string progress_text(const ProgressCounts& counts, std::int64_t before, std::int64_t requests,
                          double seconds, double busy);

/// Prints progress from a thread of its own until it is destroyed: on a terminal one line that is
/// rewritten, elsewhere lines.
class ProgressLine {
 public:
  struct Job {
    std::filesystem::path output_dir;
    int replicas = 1;
    std::int64_t requests = 0;
    std::int64_t done = 0;  ///< by earlier runs
    int columns = 0;        ///< see `terminal_columns`
  };

  /// The first line comes after a second, the others every `interval` seconds; 0: none.
  ProgressLine(const Job& job, double interval);
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
  JournalWatch journal_;
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
