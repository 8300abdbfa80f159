#include "comm/control/claims.h"

#include <algorithm>

#include "base/error.h"

namespace weft {
namespace {

/// Largest piece: requests that share a prefix stay together well enough, and a replica that got
/// the longest requests of a file, or the slowest processor, does not get many of them.
constexpr std::int64_t kLargestPiece = 256;

}  // namespace

ClaimTable::ClaimTable(std::vector<Range> open, int replicas)
    : open_(std::move(open)), replicas_(static_cast<std::size_t>(replicas)) {
  std::int64_t end = 0;
  for (const Range& range : open_) {
    require(range.begin >= end && !range.empty(), "claims must ascend");
    end = range.end;
    unclaimed_ += range.size();
  }
}

Grant ClaimTable::claim(int replica, std::int64_t finished) {
  note_finished(replica, finished);
  if (unclaimed_ == 0) return {Grant::Answer::exhausted, {}};
  const auto replicas = static_cast<std::int64_t>(replicas_.size());
  if (replicas == 1) return {Grant::Answer::rows, take(unclaimed_)};
  std::int64_t unfinished = unclaimed_;
  for (const Replica& each : replicas_) unfinished += each.granted - each.finished;
  Replica& mine = replicas_[static_cast<std::size_t>(replica)];
  const std::int64_t level = ceil_div(unfinished, replicas) - (mine.granted - mine.finished);
  if (level <= 0) return {Grant::Answer::later, {}};
  const std::int64_t count = std::min({level, ceil_div(unclaimed_, 2 * replicas), kLargestPiece});
  mine.granted += count;
  return {Grant::Answer::rows, take(count)};
}

void ClaimTable::note_finished(int replica, std::int64_t finished) {
  Replica& mine = replicas_[static_cast<std::size_t>(replica)];
  mine.finished = std::clamp(finished, mine.finished, mine.granted);
}

Range ClaimTable::take(std::int64_t count) {
  unclaimed_ -= count;
  Range taken{open_[next_].begin, 0};
  while (count > 0) {
    Range& range = open_[next_];
    const std::int64_t here = std::min(count, range.size());
    taken.end = range.begin + here;
    range.begin += here;
    count -= here;
    if (range.empty()) ++next_;
  }
  return taken;
}

StaticShare::StaticShare(const std::vector<Range>& open, int replica, int replicas) {
  for (const Range& range : open) {
    for (std::int64_t row = range.begin; row < range.end; ++row) {
      if (row % replicas == replica) rows_.push_back(row);
    }
  }
}

Grant StaticShare::next() {
  if (next_ == rows_.size()) return {Grant::Answer::exhausted, {}};
  const std::int64_t row = rows_[next_++];
  return {Grant::Answer::rows, {row, row + 1}};
}

}  // namespace weft
