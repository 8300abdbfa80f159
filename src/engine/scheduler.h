// Decides what the next step computes. Knows lengths and pages, no tokens and no tensors.
#pragma once

#include <cstdint>
#include <deque>
#include <vector>

#include "cache/block_pool.h"

namespace weft {

struct SchedulerLimits {
  std::int64_t max_batch_tokens = 2048;  ///< rows of one step
  std::int64_t max_sequences = 256;      ///< sequences in the cache at a time
  std::int64_t prefill_chunk = 0;        ///< most rows of one sequence in a step; 0: no limit
  std::int64_t page_tokens = 32;
  std::int64_t pages = 0;
};

/// One sequence's part of a step: `count` of its tokens, from position `begin` on. When `samples`,
/// the last of them is the sequence's last token and a new one is chosen from its logits.
struct Slice {
  std::int64_t sequence = 0;
  std::int64_t begin = 0;
  std::int64_t count = 0;
  bool samples = false;
  bool operator==(const Slice&) const = default;
};

/// Continuous batching with chunked prefill and preemption by recomputation.
///
/// Each step first continues the running sequences, oldest first (a decode is one row), then admits
/// waiting ones in order of arrival while rows, sequences and pages last. When a running sequence
/// needs a page and none is left, the youngest running sequence gives up its pages and waits, ahead
/// of the others, to be computed again. A deterministic function of the calls: every rank of a
/// replica runs its own copy and all of them agree.
class Scheduler {
 public:
  explicit Scheduler(const SchedulerLimits& limits);

  /// Adds a sequence of `length` >= 1 tokens that will not grow beyond `max_length` tokens. Throws
  /// Error when such a sequence alone exceeds the cache (see `fits`).
  void add(std::int64_t sequence, std::int64_t length, std::int64_t max_length);

  /// Whether a sequence of that many tokens can ever be computed. The last token's keys are not
  /// needed, as nothing follows it.
  [[nodiscard]] bool fits(std::int64_t max_length) const;

  /// What to compute next; empty when no sequence is left. Call `complete` for it afterwards.
  std::vector<Slice> next();

  /// Tells the scheduler that a slice was computed. A slice that `samples` made the sequence one
  /// token longer; `finished` ends the sequence and frees its pages.
  void complete(const Slice& slice, bool finished);

  /// Pages of a running sequence, by position / page_tokens.
  [[nodiscard]] const std::vector<PageId>& pages_of(std::int64_t sequence) const;

  [[nodiscard]] bool idle() const { return running_.empty() && waiting_.empty(); }
  [[nodiscard]] std::int64_t running() const { return static_cast<std::int64_t>(running_.size()); }
  [[nodiscard]] std::int64_t waiting() const { return static_cast<std::int64_t>(waiting_.size()); }
  /// How many times a sequence had to give up its pages.
  [[nodiscard]] std::int64_t preemptions() const { return preemptions_; }

 private:
  struct State {
    std::int64_t sequence = 0;
    std::int64_t length = 0;    ///< tokens known
    std::int64_t computed = 0;  ///< tokens whose keys and values are in the cache
    std::vector<PageId> pages;
  };

  [[nodiscard]] std::int64_t rows_for(const State& state, std::int64_t budget) const;
  [[nodiscard]] std::int64_t pages_missing(const State& state, std::int64_t rows) const;
  void grow(State& state, std::int64_t rows);
  void preempt_youngest();
  void schedule_running(std::int64_t& budget, std::vector<Slice>& step);
  void admit_waiting(std::int64_t& budget, std::vector<Slice>& step);

  SchedulerLimits limits_;
  BlockPool pool_;
  std::vector<State> running_;  ///< oldest first
  std::deque<State> waiting_;
  std::int64_t preemptions_ = 0;
};

}  // namespace weft
