// How the scheduler's tests write loads and steps.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "catch.h"
#include "engine/scheduler.h"

namespace weft {

inline SchedulerLimits limits(std::int64_t rows, std::int64_t sequences, std::int64_t chunk,
                              std::int64_t block_tokens, std::int64_t kv_blocks) {
  return {rows, sequences, chunk, block_tokens, kv_blocks};
}

/// "0[0,8) 1[0,4)*": sequence, positions, and a star where a token is sampled. With more than one
/// sp rank the home stands behind the sequence, and a plus where the rows are shared: "0@1+[0,8)".
inline std::string describe(const std::vector<Slice>& step, bool homes = false) {
  std::string text;
  for (const Slice& slice : step) {
    text += (text.empty() ? "" : " ") + std::to_string(slice.sequence);
    if (homes) text += "@" + std::to_string(slice.home) + (slice.shared ? "+" : "");
    text += "[" + std::to_string(slice.begin) + "," + std::to_string(slice.begin + slice.count) +
            ")" + (slice.samples ? "*" : "");
  }
  return text;
}

/// Hashes of blocks with this content: "ab" and "ac" have the first block in common. Chained, so
/// that "ba" and "ca" have none.
inline std::vector<BlockHash> blocks_named(const std::string& content) {
  std::vector<BlockHash> hashes;
  for (std::size_t end = 1; end <= content.size(); ++end) {
    hashes.push_back(digest_of(content.substr(0, end)));
  }
  return hashes;
}

/// A sequence of `length` tokens that ends when it has `end` tokens.
struct Plan {
  std::int64_t length;
  std::int64_t end;
  std::string prefix = {};  ///< content of its full blocks
};

/// Keeps the lengths of sequences and completes steps.
class Driver {
 public:
  explicit Driver(const SchedulerLimits& limits) : scheduler(limits), homes_(limits.sp > 1) {}

  void add(const Plan& plan) {
    scheduler.add(next_, plan.length, plan.end, blocks_named(plan.prefix));
    lengths_[next_] = plan.length;
    ends_[next_++] = plan.end;
  }

  /// Describes the next step and completes it at once.
  std::string step() {
    const std::vector<Slice> slices = scheduler.next();
    complete(slices);
    return describe(slices, homes_);
  }

  void complete(const std::vector<Slice>& slices) {
    for (const Slice& slice : slices) {
      if (slice.samples) ++lengths_[slice.sequence];
      scheduler.complete(slice, slice.samples && lengths_[slice.sequence] >= ends_[slice.sequence]);
    }
  }

  /// All steps until nothing is left.
  std::vector<std::string> steps() {
    std::vector<std::string> steps;
    for (std::string text = step(); !text.empty(); text = step()) {
      steps.push_back(text);
      REQUIRE(steps.size() < 200);
    }
    return steps;
  }

  Scheduler scheduler;

 private:
  bool homes_;
  std::int64_t next_ = 0;
  std::map<std::int64_t, std::int64_t> lengths_;
  std::map<std::int64_t, std::int64_t> ends_;
};

/// All steps until nothing is left of the plans, numbered from 0.
inline std::vector<std::string> steps_of(Driver& driver, const std::vector<Plan>& plans) {
  for (const Plan& plan : plans) driver.add(plan);
  return driver.steps();
}

}  // namespace weft
