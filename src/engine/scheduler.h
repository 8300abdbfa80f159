// Decides what the next step computes. Knows lengths, hashes and blocks, no tokens and no tensors.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <unordered_map>
#include <vector>

#include "base/types.h"
#include "cache/block_pool.h"
#include "engine/reserved_blocks.h"
#include "engine/step_budget.h"

namespace weft {

struct SchedulerLimits {
  std::int64_t max_batch_tokens = 2048;  ///< rows of one step on each sp rank
  std::int64_t max_sequences = 256;      ///< sequences at home on one sp rank at a time
  std::int64_t prefill_chunk = 0;        ///< most rows of one sequence in a step; 0: no limit
  std::int64_t block_tokens = 32;
  std::int64_t kv_blocks = 0;       ///< of each sp rank's cache
  int sp = 1;                       ///< ranks that share the tokens of long prompts
  std::int64_t sp_threshold = 256;  ///< with sp > 1: known tokens at which a prompt is shared
  int batches = 1;                  ///< steps that may be in flight at a time
  bool prefix_sharing = true;
  /// Drafts are added to steps that have no more rows on an sp rank with them; 0: no drafts.
  std::int64_t speculative_rows = 0;
};

/// One sequence's part of a step: `count` of its tokens, from position `begin` on. When `samples`,
/// the last of them is the sequence's last token and a new one is chosen from its logits. After
/// that one `drafted` tokens may follow, within `count`, of which it is not known whether they are
/// the sequence's.
struct Slice {
  std::int64_t sequence = 0;
  std::int64_t begin = 0;
  std::int64_t count = 0;
  bool samples = false;
  int home = 0;         ///< the sp rank that keeps the sequence's keys and values
  bool shared = false;  ///< rows of a prompt, split over all sp ranks (layout/causal_split.h)
  bool starts = false;  ///< the sequence's first since it was admitted, for the first time or again
  std::int64_t drafted = 0;
  bool operator==(const Slice&) const = default;
};

/// Asked how many drafted tokens, at most `most`, a decode of `sequence` may have.
using OfferDraft = std::function<std::int64_t(std::int64_t sequence, std::int64_t most)>;

/// Continuous batching with chunked prefill, preemption by recomputation and prefix sharing.
///
/// A step first continues the running sequences in order of arrival (a decode is one row), then
/// admits waiting ones in the same order while rows, places and blocks last; the first that does
/// not fit holds back those behind it. All blocks of its known tokens are taken at admission, so
/// only decodes need blocks later. When none is left, the latest arrival that is not in flight
/// gives up its blocks and waits to be computed again; a sequence that has nobody to take from
/// keeps its blocks and sits the step out, and nothing is admitted to that rank's cache meanwhile.
///
/// Each sp rank has a cache of its own. A sequence is at home on the rank with most room at its
/// admission. A long prompt is shared: until its last row is complete it has blocks on every rank.
///
/// Full blocks of prompts are shared by hash; see BlockPool. A sequence whose next block is about
/// to be computed by another one waits for it, and lets others pass.
///
/// Drafts come last: they take rows and blocks that nobody else has taken, and blocks of tokens
/// that were not accepted are given back when the step is complete.
///
/// Several steps may be in flight, a sequence in one of them at most; each step takes only its
/// share of the sequences, so that there is work for all.
///
/// Why it always goes on: of the running sequences the first to have arrived is served first in
/// every step, and may take the blocks of all others but those in flight; `fits` says that it needs
/// no more than there are. So with nothing in flight no step is empty while a sequence runs, and
/// without running ones the first that waits finds all blocks available. A sequence that waits for
/// a block waits for a running one, which has all blocks of its prompt, or else gives the promise
/// back. As newcomers neither pass the first that waits for room nor outrank earlier arrivals, the
/// sequences that somebody waits for come to their ends.
///
/// A deterministic function of the calls: every rank of a replica runs its own copy and all of
/// them agree.
class Scheduler {
 public:
  explicit Scheduler(const SchedulerLimits& limits);

  /// Adds a sequence of `length` >= 1 tokens that will not grow beyond `max_length` tokens.
  /// `prefix` names the first full blocks of these tokens, ascending (`prefix_hashes`); without it,
  /// nothing is shared. Throws Error when such a sequence alone exceeds a cache (see `fits`).
  void add(std::int64_t sequence, std::int64_t length, std::int64_t max_length,
           std::vector<BlockHash> prefix = {});

  /// Whether a sequence of that many tokens can ever be computed. The last token's keys are not
  /// needed, as nothing follows it.
  [[nodiscard]] bool fits(std::int64_t max_length) const;

  /// What to compute next; empty when nothing is left, or nothing can start before a step in
  /// flight is complete. On each sp rank a step has at most max_batch_tokens rows of at most
  /// max_sequences slices. Call `complete` for every slice when the step is done. `offer` is asked
  /// in the order of the slices.
  std::vector<Slice> next(const OfferDraft& offer = nullptr);

  /// Tells the scheduler that a slice was computed, or that it will have been before anything of a
  /// later step is. A slice that `samples` made the sequence one token longer, and longer by those
  /// of the drafted tokens, the first `accepted`, that turned out to be the sequence's; `finished`
  /// ends the sequence and frees its blocks. Throws Error when the slice is not in flight.
  void complete(const Slice& slice, bool finished, std::int64_t accepted = 0);

  /// Ends a sequence that was taken to go on when its latest slice was completed, and frees its
  /// blocks; it may have lost them and wait to be computed again. Throws Error while it is in
  /// flight, or when there is no such sequence.
  void end(std::int64_t sequence);

  /// Blocks of a running sequence on an sp rank, by position / block_tokens; none where it is
  /// neither at home nor shared. They stay as they are while the sequence is in flight.
  [[nodiscard]] const std::vector<BlockId>& blocks_of(std::int64_t sequence, int sp_rank = 0) const;

  /// Whether a sequence has been admitted and has not ended or been preempted since.
  [[nodiscard]] bool is_running(std::int64_t sequence) const;

  [[nodiscard]] bool idle() const { return running() == 0 && waiting() == 0; }
  [[nodiscard]] std::int64_t running() const { return static_cast<std::int64_t>(running_.size()); }
  [[nodiscard]] std::int64_t waiting() const {
    return static_cast<std::int64_t>(waiting_.size()) + awaiting_;
  }
  /// Blocks that no running sequence holds, on an sp rank; cached ones among them.
  [[nodiscard]] std::int64_t available(int sp_rank = 0) const { return pool(sp_rank).available(); }
  /// How many times a sequence had to give up its blocks.
  [[nodiscard]] std::int64_t preemptions() const { return preemptions_; }
  /// Tokens of blocks that were looked for when their sequences were first admitted: those of all
  /// full blocks of the prompt but one that holds the last known token, which is computed anyway. A
  /// sequence that comes back after a preemption finds its own blocks, which counts for nothing.
  [[nodiscard]] std::int64_t prefix_tokens_looked_up() const { return looked_up_; }
  /// Of these, tokens of blocks that were found and not computed again.
  [[nodiscard]] std::int64_t prefix_tokens_taken_over() const { return taken_over_; }
  /// The same of one sequence, from its first admission to its end.
  [[nodiscard]] std::int64_t prefix_tokens_taken_over(std::int64_t sequence) const;

 private:
  struct Entry {
    std::int64_t sequence = 0;
    std::int64_t arrival = 0;
    std::int64_t length = 0;                      ///< tokens known
    std::vector<BlockHash> prefix;                ///< of the prompt's full blocks
    std::int64_t last_hits = 0;                   ///< blocks found when last looked for
    std::optional<std::int64_t> first_hits;       ///< blocks found at the first admission
    std::int64_t computed = 0;                    ///< tokens whose keys and values are in the cache
    std::int64_t registered = 0;                  ///< blocks of `prefix` that are computed
    std::vector<std::vector<BlockId>> kv_blocks;  ///< by sp rank
    bool running = false;
    int home = 0;
    bool shared = false;
    std::int64_t rows_in_flight = 0;
    std::int64_t step = 0;          ///< that holds these rows
    std::int64_t preempted_in = 0;  ///< the latest call of `next` that preempted it
  };
  using Queue = std::map<std::int64_t, Entry*>;  ///< by arrival

  /// How a waiting sequence could start: on `ranks`, with `hits` blocks taken over.
  struct Start {
    int home = 0;
    Range ranks;
    std::int64_t hits = 0;
  };
  /// A block that a waiting sequence should wait for.
  struct Awaited {
    int rank = 0;
    BlockHash hash;
  };

  [[nodiscard]] BlockPool& pool(int rank) { return pools_[static_cast<std::size_t>(rank)]; }
  [[nodiscard]] const BlockPool& pool(int rank) const {
    return pools_.at(static_cast<std::size_t>(rank));
  }
  [[nodiscard]] ReservedBlocks& reserved(int rank) {
    return reserved_[static_cast<std::size_t>(rank)];
  }
  [[nodiscard]] const ReservedBlocks& reserved(int rank) const {
    return reserved_[static_cast<std::size_t>(rank)];
  }
  [[nodiscard]] std::int64_t blocks_for(std::int64_t tokens) const {
    return ceil_div(tokens, limits_.block_tokens);
  }
  /// sp ranks that have blocks of a running sequence.
  [[nodiscard]] Range ranks_of(const Entry& entry) const;

  // Running sequences.
  [[nodiscard]] std::vector<RankBudget> rooms() const;
  void continue_running(StepBudget& room, std::vector<Slice>& step);
  void schedule(Entry& entry, std::int64_t rows, StepBudget& room, std::vector<Slice>& step);
  [[nodiscard]] std::int64_t rows_for(const Entry& entry, std::int64_t most) const;
  void add_drafts(const OfferDraft& offer, std::vector<Slice>& step);
  bool grow(Entry& entry, std::int64_t rows);
  bool make_room(const Entry& entry);
  void preempt(Entry& entry);
  void register_blocks(Entry& entry);
  void end_sharing(Entry& entry);
  void release(Entry& entry);
  void wake(const std::vector<std::int64_t>& sequences);

  // Admission (scheduler_admission.cpp).
  void admit_waiting(StepBudget& room, std::vector<Slice>& step);
  [[nodiscard]] bool is_long(const Entry& entry) const;
  [[nodiscard]] std::vector<Start> starts(const Entry& entry, const StepBudget& room) const;
  [[nodiscard]] std::int64_t shareable_blocks(const Entry& entry) const;
  [[nodiscard]] std::int64_t hits(const Entry& entry, Range ranks) const;
  [[nodiscard]] std::optional<Awaited> awaited(const Entry& entry, const Start& start) const;
  [[nodiscard]] bool has_blocks(const Entry& entry, const Start& start) const;
  void start(Entry& entry, const Start& start);
  [[nodiscard]] std::int64_t admissible() const;

  SchedulerLimits limits_;
  std::vector<BlockPool> pools_;          ///< by sp rank
  std::vector<ReservedBlocks> reserved_;  ///< by sp rank
  std::vector<std::int64_t> homed_;       ///< by sp rank: running sequences
  std::unordered_map<std::int64_t, Entry> sequences_;
  Queue running_;
  Queue waiting_;              ///< that could be admitted
  std::int64_t awaiting_ = 0;  ///< sequences that wait for promised blocks
  std::int64_t arrivals_ = 0;
  std::map<std::int64_t, std::int64_t> in_flight_;  ///< slices by step
  std::int64_t steps_ = 0;
  std::int64_t calls_ = 0;  ///< of `next` that put steps together
  // Of the step that is put together.
  std::vector<bool> short_of_blocks_;   ///< by sp rank
  std::vector<std::int64_t> searched_;  ///< by sp rank: arrivals from here on have nothing to take
  // Counts.
  std::int64_t preemptions_ = 0;
  std::int64_t looked_up_ = 0;
  std::int64_t taken_over_ = 0;
};

}  // namespace weft
