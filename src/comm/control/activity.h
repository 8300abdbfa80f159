// What a rank's main thread does at the moment, for those who watch it.
#pragma once

#include <cstdint>
#include <mutex>
#include <string>

#include "base/tracer.h"

namespace weft {

/// What a rank can wait in.
enum class Operation : std::uint8_t {
  none,  ///< it does not wait
  all_gather,
  all_to_all,
  broadcast,
  send,
  receive,
  barrier,
  split,   ///< a group is made of the ranks of another
  work,    ///< for requests to compute
  others,  ///< for the other replicas to finish
};

/// "all-gather", "the other replicas"; "computing" for `none`.
const char* name(Operation operation);

/// Whether all ranks of a group call it together.
bool is_collective(Operation operation);

/// Whether a wait may last as long as it likes.
constexpr bool is_patient(Operation operation) {
  return operation == Operation::work || operation == Operation::others;
}

/// What one rank has got done, for progress lines and for sharing out work. Only a replica's leader
/// counts.
struct Progress {
  std::int64_t rows = 0;  ///< requests with a row, failed ones too
  std::int64_t failed = 0;
  std::int64_t completion_tokens = 0;  ///< of these requests
  std::int64_t open = 0;               ///< requests begun and without a row
  std::int64_t open_tokens = 0;        ///< generated of these
  std::int64_t generated_tokens = 0;   ///< all that were generated in this run
};

enum class JobPhase : std::uint8_t {
  job_file,   ///< the job file is read
  launching,  ///< MPI starts
  starting,
  prompts,  ///< prompts and journal are read
  loading,
  running,
  finished,
  results,  ///< reports and results are made
  leaving,  ///< MPI ends
};

/// A rank as others see it. Plain bytes: it travels in messages.
struct RankState {
  /// How many waits, steps and phases have begun or ended.
  std::int64_t changes = 0;
  /// How often its service thread has seen it do the same: no change, and no beat
  /// (base/progress_counter.h).
  std::int64_t ticks = 0;
  /// Steps of the engine begun.
  std::int64_t step = 0;
  /// The latest collective operation: number `call` of all in group `group`.
  std::int64_t call = 0;
  std::uint64_t group = 0;
  std::int32_t peer = -1;  ///< of `receive` and `send`: the rank, in the group, that it waits for
  Operation operation = Operation::none;
  JobPhase phase = JobPhase::launching;
  Phase work = Phase::other;  ///< of the main thread, by its tracer
  Progress progress;
};

/// Of a rank that waits: "all-gather 5012", "receive".
std::string place_of(const RankState& state);
/// "in step 17, computing (ffn)", "loading the weights".
std::string describe(const RankState& state);

/// The main thread tells what it does, the service thread asks. Costs one uncontended lock.
class Activity {
 public:
  /// For as long as it lives, the rank waits in an operation. Of waits within waits the outermost
  /// counts.
  class Wait {
   public:
    /// `group`, `call` and `peer` as in RankState.
    Wait(Activity& activity, Operation operation, std::uint64_t group = 0, std::int64_t call = 0,
         int peer = -1)
        : activity_(activity) {
      activity_.enter(operation, group, call, peer);
    }
    Wait(const Wait&) = delete;
    Wait& operator=(const Wait&) = delete;
    ~Wait() { activity_.leave(); }

   private:
    Activity& activity_;
  };

  void begin_phase(JobPhase phase);
  void begin_step();
  void set_progress(const Progress& progress);

  [[nodiscard]] RankState state() const;
  /// Counts one look of the service thread and returns the state, with the work of the moment.
  RankState look();

 private:
  void enter(Operation operation, std::uint64_t group, std::int64_t call, int peer);
  void leave();

  mutable std::mutex mutex_;
  RankState state_;
  int depth_ = 0;            ///< of waits
  std::int64_t seen_ = -1;   ///< `changes` at the last look
  std::int64_t beats_ = -1;  ///< beats at the last look
};

}  // namespace weft
