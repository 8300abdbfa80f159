// Random loads on a model of the caches: what a step reads must be there, whoever wrote it.
#include <algorithm>
#include <cstdint>
#include <deque>
#include <map>
#include <random>
#include <set>
#include <vector>

#include "base/types.h"
#include "catch.h"
#include "engine/scheduler.h"
#include "layout/causal_split.h"

namespace weft {
namespace {

/// Stands for a token's keys and values: a fingerprint of all tokens up to it.
using Content = std::uint64_t;
constexpr Content kNothing = 0;

Content after(Content before, std::uint64_t token) {
  Content mixed = (before ^ (token + 0x9E3779B97F4A7C15U)) * 0xBF58476D1CE4E5B9U;
  return (mixed ^ (mixed >> 29U)) | 1U;
}

/// What to try.
struct Load {
  SchedulerLimits limits;
  int sequences = 30;
  int templates = 3;  ///< prompts begin like one of these; 0: no hashes are given
};

class Simulation {
 public:
  Simulation(std::uint32_t seed, const Load& load)
      : random_(seed),
        load_(load),
        limits_(load.limits),
        scheduler_(limits_),
        reference_(limits_),
        caches_(static_cast<std::size_t>(limits_.sp),
                std::vector<Content>(
                    static_cast<std::size_t>(limits_.kv_blocks * limits_.block_tokens), kNothing)) {
  }

  void run() {
    for (int left = load_.sequences; left > 0 || !live_.empty();) {
      for (; left > 0 && (live_.empty() || pick(0, 3) == 0); --left) add();
      fill();
      // Now and then another one arrives while steps are in flight.
      if (left > 0 && pick(0, 5) == 0) {
        add();
        --left;
      }
      finish_step();
    }
    REQUIRE(scheduler_.idle());
    REQUIRE(scheduler_.next().empty());
    for (int rank = 0; rank < limits_.sp; ++rank) {
      REQUIRE(scheduler_.available(rank) == limits_.kv_blocks);
    }
    // Every token but the last of each sequence was computed or taken over, and none twice.
    if (preemptions() == 0) REQUIRE(rows_ + scheduler_.prefix_tokens_taken_over() == tokens_);
    REQUIRE(taken_over() <= scheduler_.prefix_tokens_looked_up());
  }

  [[nodiscard]] std::int64_t preemptions() const { return scheduler_.preemptions(); }
  [[nodiscard]] std::int64_t taken_over() const { return scheduler_.prefix_tokens_taken_over(); }
  [[nodiscard]] std::int64_t shared_slices() const { return shared_slices_; }
  [[nodiscard]] std::int64_t together() const { return together_; }

 private:
  struct Live {
    std::vector<Content> contents;  ///< by position
    std::int64_t end = 0;           ///< finishes with that many tokens
    bool decoding = false;          ///< has sampled since it was admitted last
    bool in_flight = false;
    [[nodiscard]] std::int64_t length() const { return static_cast<std::int64_t>(contents.size()); }
  };

  std::int64_t pick(std::int64_t low, std::int64_t high) {
    return low + static_cast<std::int64_t>(random_() % static_cast<std::uint32_t>(high - low + 1));
  }

  void add() {
    const std::int64_t most = limits_.kv_blocks * limits_.block_tokens;
    const std::int64_t length = pick(1, pick(1, most));
    const std::int64_t longest = pick(length + 1, most + 1);
    const std::int64_t like = pick(0, std::max(load_.templates - 1, 0));
    const std::int64_t differs_at = pick(0, 2) == 0 ? length : pick(0, length);
    Live live;
    live.end = pick(length + 1, longest);
    Content content = kNothing;
    for (std::int64_t i = 0; i < length; ++i) {
      content = after(content, i < differs_at ? static_cast<std::uint64_t>(like) : random_());
      live.contents.push_back(content);
    }
    std::vector<BlockHash> hashes;
    if (load_.templates > 0 && pick(0, 9) > 0) {
      for (std::int64_t end = limits_.block_tokens; end <= length; end += limits_.block_tokens) {
        hashes.push_back({1, live.contents[static_cast<std::size_t>(end - 1)]});
      }
    }
    scheduler_.add(next_, length, longest, hashes);
    reference_.add(next_, length, longest, hashes);
    tokens_ += live.end - 1;
    live_.emplace(next_++, std::move(live));
  }

  /// Puts as many steps in flight as there are, at times fewer.
  void fill() {
    while (static_cast<int>(steps_.size()) < limits_.batches) {
      const std::vector<Slice> slices = scheduler_.next();
      REQUIRE(slices == reference_.next());
      if (slices.empty()) {
        REQUIRE_FALSE(steps_.empty());
        return;
      }
      check_budgets(slices);
      for (const Slice& slice : slices) begin(slice);
      check_blocks();
      steps_.push_back(slices);
      together_ = std::max(together_, static_cast<std::int64_t>(steps_.size()));
      if (pick(0, 7) == 0) return;
    }
  }

  void check_budgets(const std::vector<Slice>& slices) {
    for (int rank = 0; rank < limits_.sp; ++rank) {
      std::int64_t rows = 0;
      std::int64_t here = 0;
      for (const Slice& slice : slices) {
        if (!slice.shared && slice.home != rank) continue;
        ++here;
        rows += slice.shared ? causal_row_count(slice.count, limits_.sp, rank) : slice.count;
      }
      REQUIRE(rows <= limits_.max_batch_tokens);
      REQUIRE(here <= limits_.max_sequences);
    }
  }

  /// The rows are now being computed: until they are complete nobody may read them.
  void begin(const Slice& slice) {
    Live& live = live_.at(slice.sequence);
    REQUIRE_FALSE(live.in_flight);
    REQUIRE(slice.count > 0);
    if (limits_.prefill_chunk > 0) REQUIRE(slice.count <= limits_.prefill_chunk);
    REQUIRE(slice.samples == (slice.begin + slice.count == live.length()));
    REQUIRE(slice.begin + slice.count <= live.length());
    // Thrown out by one rank's cache and at home on another one in the same step.
    if (slice.begin < live.length() - 1) live.decoding = false;
    if (slice.shared) {
      REQUIRE(limits_.sp > 1);
      REQUIRE_FALSE(live.decoding);
      REQUIRE(live.length() >= limits_.sp_threshold);
      ++shared_slices_;
    }
    live.in_flight = true;
    rows_ += slice.count;
    for_ranks(slice, [&](int rank) {
      check_reads(slice, rank);
      write(slice, rank, false);
    });
  }

  template <class Do>
  void for_ranks(const Slice& slice, const Do& act) {
    for (int rank = 0; rank < limits_.sp; ++rank) {
      if (slice.shared || slice.home == rank) {
        act(rank);
      } else {
        REQUIRE(scheduler_.blocks_of(slice.sequence, rank).empty());
      }
    }
  }

  Content& slot(const Slice& slice, int rank, std::int64_t position) {
    const auto kv_block = scheduler_.blocks_of(slice.sequence, rank)
                              .at(static_cast<std::size_t>(position / limits_.block_tokens));
    REQUIRE(kv_block >= 0);
    return caches_[static_cast<std::size_t>(rank)].at(static_cast<std::size_t>(
        kv_block * limits_.block_tokens + position % limits_.block_tokens));
  }

  void check_reads(const Slice& slice, int rank) {
    const Live& live = live_.at(slice.sequence);
    for (std::int64_t i = 0; i < slice.begin; ++i) {
      REQUIRE(slot(slice, rank, i) == live.contents[static_cast<std::size_t>(i)]);
    }
  }

  void write(const Slice& slice, int rank, bool done) {
    const Live& live = live_.at(slice.sequence);
    for (std::int64_t i = slice.begin; i < slice.begin + slice.count; ++i) {
      slot(slice, rank, i) = done ? live.contents[static_cast<std::size_t>(i)] : kNothing;
    }
  }

  /// Blocks are held or available, and places are kept to.
  void check_blocks() {
    std::int64_t running = 0;
    std::vector<std::int64_t> homed(static_cast<std::size_t>(limits_.sp), 0);
    std::vector<std::set<BlockId>> held(static_cast<std::size_t>(limits_.sp));
    for (auto& [sequence, live] : live_) {
      if (!scheduler_.is_running(sequence)) {
        REQUIRE_FALSE(live.in_flight);
        live.decoding = false;
        continue;
      }
      ++running;
      int homes = 0;
      for (int rank = 0; rank < limits_.sp; ++rank) {
        const auto i = static_cast<std::size_t>(rank);
        const std::vector<BlockId>& kv_blocks = scheduler_.blocks_of(sequence, rank);
        REQUIRE(kv_blocks == reference_.blocks_of(sequence, rank));
        held[i].insert(kv_blocks.begin(), kv_blocks.end());
        homes += kv_blocks.empty() ? 0 : 1;
        if (!kv_blocks.empty() && (homes == 1)) ++homed[i];
      }
      REQUIRE((homes == 1 || homes == limits_.sp));
    }
    REQUIRE(running == scheduler_.running());
    REQUIRE(running + scheduler_.waiting() == static_cast<std::int64_t>(live_.size()));
    REQUIRE(running <= limits_.sp * limits_.max_sequences);
    for (int rank = 0; rank < limits_.sp; ++rank) {
      const std::set<BlockId>& kv_blocks = held[static_cast<std::size_t>(rank)];
      REQUIRE(scheduler_.available(rank) ==
              limits_.kv_blocks - static_cast<std::int64_t>(kv_blocks.size()));
      REQUIRE((kv_blocks.empty() ||
               (*kv_blocks.begin() >= 0 && *kv_blocks.rbegin() < limits_.kv_blocks)));
    }
  }

  /// The oldest step in flight is done.
  void finish_step() {
    REQUIRE_FALSE(steps_.empty());
    REQUIRE(++steps_done_ < 20000);  // or some sequence never ends
    // What steps in flight read is still there: nobody has taken or written it since.
    for (const auto& step : steps_) {
      for (const Slice& slice : step) {
        for_ranks(slice, [&](int rank) { check_reads(slice, rank); });
      }
    }
    for (const Slice& slice : steps_.front()) {
      for_ranks(slice, [&](int rank) { write(slice, rank, true); });
    }
    for (const Slice& slice : steps_.front()) complete(slice);
    steps_.pop_front();
  }

  void complete(const Slice& slice) {
    Live& live = live_.at(slice.sequence);
    live.in_flight = false;
    if (slice.samples) {
      live.decoding = true;
      live.contents.push_back(
          after(live.contents.back(), static_cast<std::uint64_t>(slice.sequence) + 100));
    }
    const bool finished = live.length() >= live.end;
    scheduler_.complete(slice, finished);
    reference_.complete(slice, finished);
    if (finished) live_.erase(slice.sequence);
  }

  std::mt19937 random_;
  Load load_;
  SchedulerLimits limits_;
  Scheduler scheduler_;
  Scheduler reference_;
  std::vector<std::vector<Content>> caches_;  ///< by sp rank, by slot
  std::map<std::int64_t, Live> live_;
  std::deque<std::vector<Slice>> steps_;  ///< in flight
  std::int64_t next_ = 0;
  std::int64_t rows_ = 0;
  std::int64_t tokens_ = 0;
  std::int64_t steps_done_ = 0;
  std::int64_t shared_slices_ = 0;
  std::int64_t together_ = 0;  ///< most steps in flight at once
};

TEST_CASE("random loads keep every promise", "[scheduler]") {
  std::int64_t preemptions = 0;
  std::int64_t taken_over = 0;
  std::int64_t shared = 0;
  std::vector<std::int64_t> together(5, 0);
  for (std::uint32_t seed = 1; seed <= 3000; ++seed) {
    CAPTURE(seed);
    std::mt19937 random(seed * 7919);
    const auto pick = [&](std::int64_t low, std::int64_t high) {
      return low + static_cast<std::int64_t>(random() % static_cast<std::uint32_t>(high - low + 1));
    };
    Load load;
    load.limits = {pick(1, 40), pick(1, 12), pick(0, 1) == 0 ? 0 : pick(1, 10), pick(1, 6),
                   pick(2, 24)};
    load.limits.sp = static_cast<int>(pick(1, 4));
    load.limits.sp_threshold = pick(1, 40);
    load.limits.batches = static_cast<int>(pick(1, 4));
    load.limits.prefix_sharing = pick(0, 5) > 0;
    load.sequences = static_cast<int>(pick(1, 30));
    load.templates = static_cast<int>(pick(0, 3));
    Simulation simulation(seed, load);
    simulation.run();
    preemptions += simulation.preemptions();
    taken_over += simulation.taken_over();
    shared += simulation.shared_slices();
    auto& most = together[static_cast<std::size_t>(load.limits.batches)];
    most = std::max(most, simulation.together());
  }
  // Or the loads were too easy.
  CHECK(preemptions > 1000);
  CHECK(taken_over > 10000);
  CHECK(shared > 1000);
  CHECK(together == std::vector<std::int64_t>{0, 1, 2, 3, 4});
}

}  // namespace
}  // namespace weft
