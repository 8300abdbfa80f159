// When each request and each step happened: records on disk while a job runs, timings.h5 at its
// end. docs/reference/formats.md describes the files.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "base/tracer.h"
#include "engine/engine.h"
#include "io/file.h"
#include "layout/grid.h"
#include "model/forward/expert_load.h"

namespace weft {

/// One run of a job, among those that a journal has seen.
struct RunStart {
  int number = 1;         ///< from 1, counted by the journal
  std::int64_t zero = 0;  ///< `Tracer::now` of this rank when the run began on rank 0's clock

  /// Seconds since the run began, on rank 0's clock.
  [[nodiscard]] double seconds() const { return seconds_at(Tracer::now()); }
  /// The same of a moment by `Tracer::now`.
  [[nodiscard]] double seconds_at(std::int64_t now) const {
    return static_cast<double>(now - zero) * 1e-9;
  }
};

// The records: plain bytes on disk, rows of the tables of timings.h5. Times are seconds since the
// run began.

struct RequestTiming {
  std::int64_t index = 0;
  double queued = 0;
  double first_token = 0;
  double finished = 0;
  std::int64_t prompt_tokens = 0;
  std::int64_t completion_tokens = 0;
  std::int64_t cached_prompt_tokens = 0;
  std::int32_t run = 0;
  std::int32_t replica = 0;
  std::int32_t finish_reason = 0;  ///< FinishReason
  std::int32_t unused = 0;
};

/// Seconds by phase as they are reported: a name, and the phases that it adds up.
struct PhaseColumn {
  const char* name;
  std::vector<Phase> phases;

  [[nodiscard]] double of(const PhaseSeconds& seconds) const;
};
/// forward (what prefill and decode spend outside their inner phases), attention, ffn,
/// communication, logits, sampling, output, waiting, other, load.
const std::vector<PhaseColumn>& phase_columns();

/// The phases of a step are all of them but the last.
inline constexpr std::size_t kStepPhases = 10;

struct StepTiming {
  double start = 0;
  double seconds = 0;  ///< to the start of the next step; the sum of `phases`
  std::array<double, kStepPhases> phases{};
  std::int32_t run = 0;
  std::int32_t replica = 0;
  std::int32_t prefill_rows = 0;
  std::int32_t decode_rows = 0;
  std::int32_t sequences = 0;
  std::int32_t unused = 0;
};

struct RunTiming {
  double started = 0;  ///< seconds since 1970
  double seconds = 0;  ///< wall time; 0 when the run did not get to its end
  std::int32_t run = 0;
  std::int32_t ranks = 0;
  std::int32_t tp = 1;
  std::int32_t pp = 1;
  std::int32_t sp = 1;
  std::int32_t ep = 1;
  std::int32_t dp = 1;
  std::int32_t unused = 0;
};

/// How many tokens went to an expert in a run, over all replicas.
struct ExpertTiming {
  std::int64_t tokens = 0;
  std::int32_t run = 0;
  std::int32_t layer = 0;
  std::int32_t expert = 0;
  std::int32_t unused = 0;
};

/// Tells the steps of a rank apart by what its tracer and its engine have counted.
class StepClock {
 public:
  StepClock(const Tracer& tracer, const RunStart& run);

  /// The step that has just ended: all that the tracer has charged since the last call, or since
  /// the construction. The next one starts where it ends.
  StepTiming next(const EngineStats& stats, int replica);

 private:
  const Tracer& tracer_;
  RunStart run_;
  double start_;
  PhaseSeconds phases_;
  EngineStats stats_;
};

/// The append-only records of one replica, written by its leader. They are buffered: a run that is
/// killed may lack the last of them.
class TimingLog {
 public:
  /// Opens or creates OUT/journal/timings/requests-NNNN.bin and steps-NNNN.bin; a torn record at
  /// the end is cut off. Throws UserError.
  TimingLog(const std::filesystem::path& output_dir, int replica);

  /// Appends a record. Throws Error.
  void add(const RequestTiming& request);
  void add(const StepTiming& step);
  /// Writes what is buffered. Throws Error.
  void flush();

 private:
  struct Stream {
    File file;
    std::string buffer;
  };

  static void append(Stream& stream, const void* record, std::size_t bytes);

  Stream requests_;
  Stream steps_;
};

/// What the runs of a journal come to.
struct RunsTotal {
  std::int64_t runs = 0;
  std::int64_t killed = 0;  ///< of these: how long they took is not known
  double seconds = 0;       ///< wall time of the others
};
RunsTotal total_of_runs(const std::filesystem::path& output_dir);

/// The list of a journal's runs, on rank 0.
class RunLog {
 public:
  /// Opens or creates OUT/journal/timings/runs.bin and adds a run. Throws UserError or Error.
  RunLog(const std::filesystem::path& output_dir, const Layout& layout);

  /// Number of the run that was added.
  [[nodiscard]] int number() const { return run_.run; }
  /// The run has come to its end after that long; appends how its tokens fell on the experts to
  /// OUT/journal/timings/experts.bin. Throws Error.
  void end(double seconds, const std::vector<ExpertLoad>& experts);

 private:
  File file_;
  RunTiming run_;
};

/// Calls `visit` for each finished request of all runs.
void visit_requests(const std::filesystem::path& output_dir,
                    const std::function<void(const RequestTiming&)>& visit);

/// Makes OUT/timings.h5 of all records, by rename. Memory does not grow with them. Throws Error.
void write_timings(const std::filesystem::path& output_dir);

}  // namespace weft
