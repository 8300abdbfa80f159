#include "engine/scheduler.h"

#include <algorithm>
#include <limits>
#include <utility>

#include "base/error.h"

namespace weft {

Scheduler::Scheduler(const SchedulerLimits& limits)
    : limits_(limits),
      pools_(static_cast<std::size_t>(std::max(limits.sp, 1)), BlockPool(limits.kv_blocks)),
      reserved_(pools_.size()),
      homed_(pools_.size(), 0) {
  require(limits.max_batch_tokens > 0 && limits.max_sequences > 0 && limits.block_tokens > 0 &&
              limits.prefill_chunk >= 0 && limits.sp > 0 && limits.sp_threshold >= 0 &&
              limits.batches > 0,
          "the scheduler's limits must be positive");
}

bool Scheduler::fits(std::int64_t max_length) const {
  return blocks_for(std::max<std::int64_t>(max_length - 1, 1)) <= limits_.kv_blocks;
}

void Scheduler::add(std::int64_t sequence, std::int64_t length, std::int64_t max_length,
                    std::vector<BlockHash> prefix) {
  require(length >= 1 && max_length >= length, "sequence {}: {} tokens of at most {}", sequence,
          length, max_length);
  // A prompt is computed whole, even when its sequence cannot grow.
  require(fits(std::max(max_length, length + 1)),
          "sequence {} of up to {} tokens exceeds the cache", sequence, max_length);
  require(static_cast<std::int64_t>(prefix.size()) <= length / limits_.block_tokens,
          "sequence {} of {} tokens has {} hashes of full pages", sequence, length, prefix.size());
  if (!limits_.prefix_sharing) prefix.clear();
  const auto [place, is_new] = sequences_.try_emplace(sequence);
  require(is_new, "there is a sequence {} already", sequence);
  Entry& entry = place->second;
  entry.sequence = sequence;
  entry.arrival = arrivals_++;
  entry.length = length;
  entry.prefix = std::move(prefix);
  entry.last_hits = hits(entry, {0, 1});
  waiting_.emplace(entry.arrival, &entry);
}

Range Scheduler::ranks_of(const Entry& entry) const {
  if (entry.shared) return {0, limits_.sp};
  return {entry.home, entry.home + 1};
}

std::vector<Slice> Scheduler::next(const OfferDraft& offer) {
  std::vector<Slice> step;
  if (static_cast<int>(in_flight_.size()) == limits_.batches) return step;
  ++calls_;
  short_of_blocks_.assign(pools_.size(), false);
  searched_.assign(pools_.size(), std::numeric_limits<std::int64_t>::max());
  StepBudget room(rooms());
  continue_running(room, step);
  admit_waiting(room, step);
  if (step.empty()) {
    require(idle() || !in_flight_.empty(), "the scheduler is stuck with {} sequences waiting",
            waiting());
    return step;
  }
  if (limits_.speculative_rows > 0 && offer) add_drafts(offer, step);
  in_flight_.emplace(steps_++, static_cast<std::int64_t>(step.size()));
  return step;
}

void Scheduler::add_drafts(const OfferDraft& offer, std::vector<Slice>& step) {
  std::vector<std::int64_t> spare(pools_.size(),
                                  std::min(limits_.speculative_rows, limits_.max_batch_tokens));
  for (const Slice& slice : step) {
    for (int rank = 0; rank < limits_.sp; ++rank) {
      if (slice.shared || slice.home == rank) spare[static_cast<std::size_t>(rank)] -= slice.count;
    }
  }
  for (Slice& slice : step) {
    const auto home = static_cast<std::size_t>(slice.home);
    if (!slice.samples || slice.count != 1 || slice.starts || short_of_blocks_[home]) continue;
    Entry& entry = sequences_.at(slice.sequence);
    std::vector<BlockId>& kv_blocks = entry.kv_blocks[home];
    const std::int64_t room =
        (static_cast<std::int64_t>(kv_blocks.size()) + pools_[home].available()) *
            limits_.block_tokens -
        entry.length;
    const std::int64_t most = std::min(spare[home], room);
    if (most <= 0) continue;
    const std::int64_t drafted = offer(slice.sequence, most);
    require(drafted >= 0 && drafted <= most, "sequence {} drafts {} tokens of {}", slice.sequence,
            drafted, most);
    while (static_cast<std::int64_t>(kv_blocks.size()) < blocks_for(entry.length + drafted)) {
      kv_blocks.push_back(pools_[home].take());
    }
    slice.drafted = drafted;
    slice.count += drafted;
    entry.rows_in_flight += drafted;
    spare[home] -= drafted;
  }
}

std::vector<RankBudget> Scheduler::rooms() const {
  const std::int64_t more = ceil_div(admissible(), limits_.sp);
  std::vector<RankBudget> rooms;
  for (const std::int64_t homed : homed_) {
    const std::int64_t turn = ceil_div(homed + more, limits_.batches);
    rooms.push_back(
        {limits_.max_batch_tokens, limits_.max_sequences,
         limits_.batches == 1 ? limits_.max_sequences : std::max<std::int64_t>(turn, 1)});
  }
  return rooms;
}

void Scheduler::continue_running(StepBudget& room, std::vector<Slice>& step) {
  // Growing may preempt later arrivals: those are behind the loop's place in the queue.
  for (const auto& [arrival, entry] : running_) {
    if (room.full()) return;
    if (entry->rows_in_flight > 0) continue;
    const std::int64_t rows = rows_for(*entry, room.rows(entry->home, entry->shared));
    if (rows > 0 && grow(*entry, rows)) schedule(*entry, rows, room, step);
  }
}

std::int64_t Scheduler::rows_for(const Entry& entry, std::int64_t most) const {
  const std::int64_t rows = std::min(entry.length - entry.computed, most);
  return limits_.prefill_chunk > 0 ? std::min(rows, limits_.prefill_chunk) : rows;
}

void Scheduler::schedule(Entry& entry, std::int64_t rows, StepBudget& room,
                         std::vector<Slice>& step) {
  room.take(entry.home, entry.shared, rows);
  entry.rows_in_flight = rows;
  entry.step = steps_;
  step.push_back({entry.sequence, entry.computed, rows, entry.computed + rows == entry.length,
                  entry.home, entry.shared});
}

/// Only decodes, which are at home on one rank, come to need more blocks than they were given.
bool Scheduler::grow(Entry& entry, std::int64_t rows) {
  std::vector<BlockId>& kv_blocks = entry.kv_blocks[static_cast<std::size_t>(entry.home)];
  while (static_cast<std::int64_t>(kv_blocks.size()) < blocks_for(entry.computed + rows)) {
    if (!make_room(entry)) return false;
    kv_blocks.push_back(pool(entry.home).take());
  }
  return true;
}

/// Sees to it that there is a block at the sequence's home.
bool Scheduler::make_room(const Entry& entry) {
  const int rank = entry.home;
  if (pool(rank).available() > 0) return true;
  // What is preempted must not come back in the same step, nor anyone else take its blocks.
  short_of_blocks_[static_cast<std::size_t>(rank)] = true;
  std::int64_t& searched = searched_[static_cast<std::size_t>(rank)];
  for (auto last = running_.lower_bound(searched); last != running_.begin();) {
    --last;
    if (last->first <= entry.arrival) break;
    searched = last->first;
    Entry& victim = *last->second;
    if (victim.rows_in_flight > 0 || !ranks_of(victim).contains(rank)) continue;
    preempt(victim);
    // All that it held may be held by others too.
    if (pool(rank).available() > 0) return true;
  }
  return false;
}

void Scheduler::preempt(Entry& entry) {
  release(entry);
  entry.computed = 0;
  entry.registered = 0;
  entry.preempted_in = calls_;
  waiting_.emplace(entry.arrival, &entry);
  ++preemptions_;
}

void Scheduler::complete(const Slice& slice, bool finished, std::int64_t accepted) {
  const auto found = sequences_.find(slice.sequence);
  require(found != sequences_.end() && slice.count > 0 &&
              found->second.rows_in_flight == slice.count && found->second.computed == slice.begin,
          "sequence {} has no such rows in flight", slice.sequence);
  require(accepted >= 0 && accepted <= slice.drafted,
          "sequence {}: {} of {} drafted tokens accepted", slice.sequence, accepted, slice.drafted);
  Entry& entry = found->second;
  const auto step = in_flight_.find(entry.step);
  if (--step->second == 0) in_flight_.erase(step);
  entry.rows_in_flight = 0;
  entry.computed += slice.count - slice.drafted + accepted;
  entry.length += accepted;
  if (slice.drafted > 0) {
    std::vector<BlockId>& kv_blocks = entry.kv_blocks[static_cast<std::size_t>(entry.home)];
    while (static_cast<std::int64_t>(kv_blocks.size()) > blocks_for(entry.computed)) {
      pool(entry.home).give(kv_blocks.back());
      kv_blocks.pop_back();
    }
  }
  register_blocks(entry);
  if (entry.computed == entry.length) {
    ++entry.length;
    if (entry.shared) end_sharing(entry);
  }
  if (finished) end(slice.sequence);
}

void Scheduler::end(std::int64_t sequence) {
  const auto found = sequences_.find(sequence);
  require(found != sequences_.end(), "there is no sequence {}", sequence);
  Entry& entry = found->second;
  require(entry.rows_in_flight == 0, "sequence {} ends in flight", sequence);
  if (entry.running) {
    release(entry);
  } else {
    // It lost its blocks in the step that was put together last, and was passed over when that one
    // admitted others: it cannot be waiting for a promised block.
    require(waiting_.erase(entry.arrival) == 1, "sequence {} ends while it waits for a page",
            sequence);
  }
  sequences_.erase(found);
}

void Scheduler::register_blocks(Entry& entry) {
  const auto end = std::min<std::int64_t>(static_cast<std::int64_t>(entry.prefix.size()),
                                          entry.computed / limits_.block_tokens);
  const Range ranks = ranks_of(entry);
  for (; entry.registered < end; ++entry.registered) {
    const auto kv_block = static_cast<std::size_t>(entry.registered);
    for (auto rank = static_cast<int>(ranks.begin); rank < ranks.end; ++rank) {
      pool(rank).put(entry.kv_blocks[static_cast<std::size_t>(rank)][kv_block],
                     entry.prefix[kv_block]);
      wake(reserved(rank).settle(entry.prefix[kv_block]));
    }
  }
}

/// From the end of the prompt on the sequence lives at home alone.
void Scheduler::end_sharing(Entry& entry) {
  for (int rank = 0; rank < limits_.sp; ++rank) {
    std::vector<BlockId>& kv_blocks = entry.kv_blocks[static_cast<std::size_t>(rank)];
    if (rank == entry.home) continue;
    for (; !kv_blocks.empty(); kv_blocks.pop_back()) pool(rank).give(kv_blocks.back());
  }
  entry.shared = false;
}

/// Takes a sequence out of the running ones, with its blocks and promises.
void Scheduler::release(Entry& entry) {
  const Range ranks = ranks_of(entry);
  for (auto rank = static_cast<int>(ranks.begin); rank < ranks.end; ++rank) {
    for (auto i = static_cast<std::size_t>(entry.registered); i < entry.prefix.size(); ++i) {
      wake(reserved(rank).settle(entry.prefix[i]));
    }
    // The last first: a block is of no use without those before it, so they should go later.
    std::vector<BlockId>& kv_blocks = entry.kv_blocks[static_cast<std::size_t>(rank)];
    for (; !kv_blocks.empty(); kv_blocks.pop_back()) pool(rank).give(kv_blocks.back());
  }
  --homed_[static_cast<std::size_t>(entry.home)];
  entry.running = false;
  entry.shared = false;
  running_.erase(entry.arrival);
}

void Scheduler::wake(const std::vector<std::int64_t>& sequences) {
  for (const std::int64_t sequence : sequences) {
    Entry& entry = sequences_.at(sequence);
    entry.last_hits = hits(entry, {0, 1});
    waiting_.emplace(entry.arrival, &entry);
    --awaiting_;
  }
}

bool Scheduler::is_running(std::int64_t sequence) const {
  const auto found = sequences_.find(sequence);
  return found != sequences_.end() && found->second.running;
}

std::int64_t Scheduler::prefix_tokens_taken_over(std::int64_t sequence) const {
  const auto found = sequences_.find(sequence);
  require(found != sequences_.end(), "there is no sequence {}", sequence);
  return found->second.first_hits.value_or(0) * limits_.block_tokens;
}

const std::vector<BlockId>& Scheduler::blocks_of(std::int64_t sequence, int sp_rank) const {
  const auto found = sequences_.find(sequence);
  require(found != sequences_.end() && found->second.running, "sequence {} is not running",
          sequence);
  return found->second.kv_blocks.at(static_cast<std::size_t>(sp_rank));
}

}  // namespace weft
