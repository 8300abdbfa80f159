#include "base/progress_counter.h"

#include <atomic>

#include "base/tracer.h"

namespace weft {
namespace {

// One process is one rank. Nothing else is ordered by these: they are only looked at.
std::atomic<std::int64_t> count = 0;
std::atomic<Phase> phase_now = Phase::other;

}  // namespace

void count_progress() { count.fetch_add(1, std::memory_order_relaxed); }

void count_progress(Phase phase) {
  phase_now.store(phase, std::memory_order_relaxed);
  count_progress();
}

std::int64_t progress_count() { return count.load(std::memory_order_relaxed); }

Phase latest_phase() { return phase_now.load(std::memory_order_relaxed); }

}  // namespace weft
