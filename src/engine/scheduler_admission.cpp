// The scheduler's admission: where a waiting sequence starts, and with which blocks.
#include <algorithm>
#include <tuple>

#include "base/error.h"
#include "engine/scheduler.h"

namespace weft {

void Scheduler::admit_waiting(StepBudget& room, std::vector<Slice>& step) {
  for (auto next = waiting_.begin(); next != waiting_.end() && !room.full();) {
    Entry& entry = *next->second;
    if (entry.preempted_in == calls_) {  // its last token may not be known yet
      ++next;
      continue;
    }
    bool starts_now = false;
    std::optional<Awaited> kv_block;
    for (const Start& way : starts(entry, room)) {
      kv_block = awaited(entry, way);
      if (kv_block) break;
      starts_now = has_blocks(entry, way);
      if (!starts_now) continue;
      start(entry, way);
      break;
    }
    if (!starts_now && !kv_block) return;
    next = waiting_.erase(next);
    if (kv_block) {
      reserved(kv_block->rank).await(kv_block->hash, entry.sequence);
      ++awaiting_;
    } else {
      schedule(entry, rows_for(entry, room.rows(entry.home, entry.shared)), room, step);
      step.back().starts = true;
    }
  }
}

bool Scheduler::is_long(const Entry& entry) const {
  return limits_.sp > 1 && entry.length >= limits_.sp_threshold;
}

/// The homes that have a place and rows left and no sequence short of blocks, most room first.
std::vector<Scheduler::Start> Scheduler::starts(const Entry& entry, const StepBudget& room) const {
  const bool shared = is_long(entry);
  const bool any_short =
      std::find(short_of_blocks_.begin(), short_of_blocks_.end(), true) != short_of_blocks_.end();
  if (shared && any_short) return {};
  std::vector<Start> ways;
  for (int home = 0; home < limits_.sp; ++home) {
    const auto i = static_cast<std::size_t>(home);
    if (short_of_blocks_[i] || homed_[i] == limits_.max_sequences || room.rows(home, shared) == 0)
      continue;
    ways.push_back({home, shared ? Range{0, limits_.sp} : Range{home, home + 1}, 0});
  }
  std::sort(ways.begin(), ways.end(), [&](const Start& a, const Start& b) {
    const auto key = [&](const Start& way) {
      return std::tuple(-pool(way.home).available(), homed_[static_cast<std::size_t>(way.home)],
                        way.home);
    };
    return key(a) < key(b);
  });
  for (Start& way : ways) way.hits = hits(entry, way.ranks);
  return ways;
}

/// The block of the last known token is computed in any case and must not be one that others see.
std::int64_t Scheduler::shareable_blocks(const Entry& entry) const {
  return std::min(static_cast<std::int64_t>(entry.prefix.size()),
                  (entry.length - 1) / limits_.block_tokens);
}

/// Blocks from the first on that all of these ranks have.
std::int64_t Scheduler::hits(const Entry& entry, Range ranks) const {
  const std::int64_t most = shareable_blocks(entry);
  for (std::int64_t kv_block = 0; kv_block < most; ++kv_block) {
    for (auto rank = static_cast<int>(ranks.begin); rank < ranks.end; ++rank) {
      if (!pool(rank).find(entry.prefix[static_cast<std::size_t>(kv_block)])) return kv_block;
    }
  }
  return most;
}

/// The last block of those, next to the hits, that all of the ranks have or are about to have.
std::optional<Scheduler::Awaited> Scheduler::awaited(const Entry& entry, const Start& start) const {
  std::optional<Awaited> last;
  const std::int64_t most = shareable_blocks(entry);
  for (std::int64_t kv_block = start.hits; kv_block < most; ++kv_block) {
    const BlockHash& hash = entry.prefix[static_cast<std::size_t>(kv_block)];
    std::optional<Awaited> here;
    for (auto rank = static_cast<int>(start.ranks.begin); rank < start.ranks.end; ++rank) {
      if (pool(rank).find(hash)) continue;
      if (!reserved(rank).has(hash)) return last;
      here = Awaited{rank, hash};
    }
    if (here) last = here;
  }
  return last;
}

bool Scheduler::has_blocks(const Entry& entry, const Start& start) const {
  for (auto rank = static_cast<int>(start.ranks.begin); rank < start.ranks.end; ++rank) {
    std::int64_t needed = blocks_for(entry.length) - start.hits;
    for (std::int64_t kv_block = 0; kv_block < start.hits; ++kv_block) {
      const BlockHash& hash = entry.prefix[static_cast<std::size_t>(kv_block)];
      if (!pool(rank).is_held(pool(rank).find(hash).value())) ++needed;
    }
    if (needed > pool(rank).available()) return false;
  }
  return true;
}

void Scheduler::start(Entry& entry, const Start& start) {
  entry.home = start.home;
  entry.shared = start.ranks.size() > 1;
  entry.last_hits = start.hits;
  entry.computed = start.hits * limits_.block_tokens;
  entry.registered = start.hits;
  entry.kv_blocks.resize(pools_.size());
  for (auto rank = static_cast<int>(start.ranks.begin); rank < start.ranks.end; ++rank) {
    std::vector<BlockId>& kv_blocks = entry.kv_blocks[static_cast<std::size_t>(rank)];
    for (std::int64_t kv_block = 0; kv_block < start.hits; ++kv_block) {
      kv_blocks.push_back(
          pool(rank).find(entry.prefix[static_cast<std::size_t>(kv_block)]).value());
      pool(rank).hold(kv_blocks.back());
    }
    for (std::int64_t n = blocks_for(entry.length) - start.hits; n > 0; --n) {
      kv_blocks.push_back(pool(rank).take());
    }
    for (auto i = static_cast<std::size_t>(start.hits); i < entry.prefix.size(); ++i) {
      reserved(rank).promise(entry.prefix[i]);
    }
  }
  if (!entry.first_hits) {
    entry.first_hits = start.hits;
    looked_up_ += shareable_blocks(entry) * limits_.block_tokens;
    taken_over_ += start.hits * limits_.block_tokens;
  }
  ++homed_[static_cast<std::size_t>(start.home)];
  entry.running = true;
  running_.emplace(entry.arrival, &entry);
}

/// About how many waiting sequences would find places and blocks now. Only needed where each step
/// takes its share of the sequences.
std::int64_t Scheduler::admissible() const {
  if (limits_.batches == 1) return 0;
  std::int64_t places = 0;
  std::int64_t kv_blocks = 0;
  for (std::size_t rank = 0; rank < pools_.size(); ++rank) {
    places += limits_.max_sequences - homed_[rank];
    kv_blocks += pools_[rank].available();
  }
  std::int64_t count = 0;
  for (const auto& [arrival, entry] : waiting_) {
    kv_blocks -=
        (blocks_for(entry->length) - entry->last_hits) * (is_long(*entry) ? limits_.sp : 1);
    if (count == places || kv_blocks < 0) break;
    ++count;
  }
  return count;
}

}  // namespace weft
