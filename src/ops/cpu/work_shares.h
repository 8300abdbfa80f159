// How the threads of a team share out work when some of them are slower than others.
#pragma once

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <vector>

#include "base/types.h"

namespace weft {

/// Items [0, n), cut into pieces. Each thread has a run of pieces of its own and takes them from
/// the front, so that it walks through memory forwards; one that has none left takes pieces from
/// the back of the others' runs. Which thread gets what depends on time, so no result may.
class WorkShares {
 public:
  explicit WorkShares(int threads) : runs_(static_cast<std::size_t>(threads)) {}

  /// Cuts `items` >= 1 items into `pieces` >= 1, or as many as there are items. To be called while
  /// no thread takes any.
  void begin(std::int64_t items, std::int64_t pieces) {
    items_ = items;
    pieces_ = std::min(pieces, items);
    for (std::int64_t t = 0; t < threads(); ++t) {
      run(t).store(packed({pieces_ * t / threads(), pieces_ * (t + 1) / threads()}),
                   std::memory_order_relaxed);
    }
  }

  /// The next items for a thread; none when all are taken, by whichever threads there are.
  Range take(std::int64_t thread) {
    for (std::int64_t i = 0; i < threads(); ++i) {
      std::atomic<std::uint64_t>& from = run((thread + i) % threads());
      std::uint64_t seen = from.load(std::memory_order_relaxed);
      while (true) {
        Range left = unpacked(seen);
        if (left.empty()) break;
        const std::int64_t piece = i == 0 ? left.begin++ : --left.end;
        if (from.compare_exchange_weak(seen, packed(left), std::memory_order_relaxed)) {
          return {items_ * piece / pieces_, items_ * (piece + 1) / pieces_};
        }
      }
    }
    return {0, 0};
  }

 private:
  /// Pieces that are left, on a cache line of its own.
  struct alignas(64) Run {
    std::atomic<std::uint64_t> left = 0;
  };

  static std::uint64_t packed(Range pieces) {
    return static_cast<std::uint64_t>(pieces.begin) << 32 | static_cast<std::uint64_t>(pieces.end);
  }
  static Range unpacked(std::uint64_t bits) {
    return {static_cast<std::int64_t>(bits >> 32), static_cast<std::int64_t>(bits & 0xffffffff)};
  }
  [[nodiscard]] std::int64_t threads() const { return static_cast<std::int64_t>(runs_.size()); }
  std::atomic<std::uint64_t>& run(std::int64_t thread) {
    return runs_[static_cast<std::size_t>(thread)].left;
  }

  std::vector<Run> runs_;
  std::int64_t items_ = 0;
  std::int64_t pieces_ = 0;
};

}  // namespace weft
