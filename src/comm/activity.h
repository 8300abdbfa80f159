// What a rank's main thread does at the moment, for those who watch it.
#pragma once

#include <cstdint>
#include <mutex>

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
  work,    ///< for requests to compute
  others,  ///< for the other replicas to finish
};

/// "all-gather", "the other replicas"; "computing" for `none`.
const char* name(Operation operation);

/// Whether a wait may last as long as it likes.
constexpr bool is_patient(Operation operation) {
  return operation == Operation::work || operation == Operation::others;
}

/// What one rank has got done, for progress lines and for sharing out work. Only a replica's leader
/// counts.
struct Progress {
  std::int64_t rows = 0;  ///< requests with a row, failed ones too
  std::int64_t failed = 0;
  std::int64_t prompt_tokens = 0;
  std::int64_t completion_tokens = 0;
};

enum class JobPhase : std::uint8_t { starting, loading, running, finished };

/// A rank as others see it. Plain bytes: it travels in messages.
struct RankState {
  /// How many waits have begun or ended: unchanged, the rank still does the same.
  std::int64_t changes = 0;
  std::int64_t looks = 0;  ///< how often its service thread has seen it do the same
  /// Steps of the engine begun.
  std::int64_t step = 0;
  /// The latest collective operation: number `call` of all in group `group`.
  std::int64_t call = 0;
  std::uint64_t group = 0;
  std::int32_t peer = -1;  ///< of `receive` and `send`: the rank, in the group, that it waits for
  Operation operation = Operation::none;
  JobPhase phase = JobPhase::starting;
  Progress progress;
};

/// The main thread tells what it does, the service thread asks. Costs one uncontended lock.
class Activity {
 public:
  /// For as long as it lives, the rank waits in an operation.
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
  /// Counts one look of the service thread and returns the state.
  RankState look();

 private:
  void enter(Operation operation, std::uint64_t group, std::int64_t call, int peer);
  void leave();

  mutable std::mutex mutex_;
  RankState state_;
  std::int64_t seen_ = -1;  ///< `changes` at the last look
};

}  // namespace weft
