#include "engine/scheduler.h"

#include <algorithm>

#include "base/error.h"
#include "base/types.h"

namespace weft {
namespace {

Slice slice_of(std::int64_t sequence, std::int64_t computed, std::int64_t rows,
               std::int64_t length) {
  return {sequence, computed, rows, computed + rows == length};
}

}  // namespace

Scheduler::Scheduler(const SchedulerLimits& limits) : limits_(limits), pool_(limits.pages) {
  require(limits.max_batch_tokens > 0 && limits.max_sequences > 0 && limits.page_tokens > 0 &&
              limits.prefill_chunk >= 0,
          "the scheduler's limits must be positive");
}

bool Scheduler::fits(std::int64_t max_length) const {
  return ceil_div(std::max<std::int64_t>(max_length - 1, 1), limits_.page_tokens) <= pool_.pages();
}

void Scheduler::add(std::int64_t sequence, std::int64_t length, std::int64_t max_length) {
  require(length >= 1 && max_length >= length, "sequence {}: {} tokens of at most {}", sequence,
          length, max_length);
  // A prompt is computed whole, even when its sequence cannot grow.
  require(fits(std::max(max_length, length + 1)),
          "sequence {} of up to {} tokens exceeds the cache", sequence, max_length);
  waiting_.push_back({sequence, length, 0, {}});
}

std::int64_t Scheduler::rows_for(const State& state, std::int64_t budget) const {
  std::int64_t rows = std::min(state.length - state.computed, budget);
  if (limits_.prefill_chunk > 0) rows = std::min(rows, limits_.prefill_chunk);
  return rows;
}

std::int64_t Scheduler::pages_missing(const State& state, std::int64_t rows) const {
  return ceil_div(state.computed + rows, limits_.page_tokens) -
         static_cast<std::int64_t>(state.pages.size());
}

void Scheduler::grow(State& state, std::int64_t rows) {
  for (std::int64_t n = pages_missing(state, rows); n > 0; --n) state.pages.push_back(pool_.take());
}

void Scheduler::preempt_youngest() {
  State victim = std::move(running_.back());
  running_.pop_back();
  for (const PageId page : victim.pages) pool_.give(page);
  victim.pages.clear();
  victim.computed = 0;
  waiting_.push_front(std::move(victim));
  ++preemptions_;
}

void Scheduler::schedule_running(std::int64_t& budget, std::vector<Slice>& step) {
  for (std::size_t i = 0; i < running_.size() && budget > 0; ++i) {
    const std::int64_t rows = rows_for(running_[i], budget);
    // The victim may be the sequence itself: then it is gone and the loop ends.
    while (i < running_.size() && pages_missing(running_[i], rows) > pool_.available()) {
      preempt_youngest();
    }
    if (i >= running_.size()) break;
    State& state = running_[i];
    grow(state, rows);
    step.push_back(slice_of(state.sequence, state.computed, rows, state.length));
    budget -= rows;
  }
}

void Scheduler::admit_waiting(std::int64_t& budget, std::vector<Slice>& step) {
  while (!waiting_.empty() && budget > 0 && running() < limits_.max_sequences) {
    State& first = waiting_.front();
    const std::int64_t rows = rows_for(first, budget);
    // All known tokens get their pages at once: their prefill will not have to preempt anybody.
    const std::int64_t known = first.length - first.computed;
    if (pages_missing(first, known) > pool_.available()) break;
    grow(first, known);
    step.push_back(slice_of(first.sequence, first.computed, rows, first.length));
    budget -= rows;
    running_.push_back(std::move(first));
    waiting_.pop_front();
  }
}

std::vector<Slice> Scheduler::next() {
  std::vector<Slice> step;
  std::int64_t budget = limits_.max_batch_tokens;
  const std::int64_t preempted_before = preemptions_;
  schedule_running(budget, step);
  // What was just thrown out must not come back in the same step.
  if (preemptions_ == preempted_before) admit_waiting(budget, step);
  require(!step.empty() || idle(), "the scheduler is stuck with {} sequences waiting", waiting());
  return step;
}

void Scheduler::complete(const Slice& slice, bool finished) {
  const auto found = std::find_if(running_.begin(), running_.end(), [&](const State& state) {
    return state.sequence == slice.sequence;
  });
  require(found != running_.end(), "sequence {} is not running", slice.sequence);
  found->computed += slice.count;
  if (slice.samples) ++found->length;
  if (!finished) return;
  for (const PageId page : found->pages) pool_.give(page);
  running_.erase(found);
}

const std::vector<PageId>& Scheduler::pages_of(std::int64_t sequence) const {
  for (const State& state : running_) {
    if (state.sequence == sequence) return state.pages;
  }
  fail("sequence {} is not running", sequence);
}

}  // namespace weft
