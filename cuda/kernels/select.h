// What a block of threads does with one row of logits: sums of weights in the order of
// docs/internals/numerics.md, and the first tokens in the order "larger logits first, lower ids
// first among equals".
#pragma once

#include <cmath>
#include <cstddef>
#include <cstdint>

#include "cuda/kernels/values.h"
#include "cuda/platform/lane.h"
#include "ops/draw_inline.h"

namespace weft {

/// Most tokens that are put into order.
inline constexpr std::int64_t kMostKeys = 1024;

/// Weights that a block has room for, with a row of that many blocks of 256 columns.
constexpr std::int64_t weights_of_row(std::int64_t blocks) {
  return blocks < kMostKeys ? kMostKeys : blocks;
}

/// Shared memory that it takes: DrawRoom.
constexpr std::size_t draw_bytes(std::int64_t blocks) {
  return static_cast<std::size_t>(2 * weights_of_row(blocks) + kMostKeys) * 8 + (256 + 16) * 4;
}

}  // namespace weft

namespace weft::WEFT_PLATFORM {

/// Threads of a block that works on one row: as many as a block of the vocabulary has columns.
inline constexpr int kDrawThreads = 256;

/// A block's shared memory, draw_bytes(blocks) of it.
struct DrawRoom {
  double* weights;       ///< [weights_of_row(blocks)]
  double* sums;          ///< as many
  std::uint64_t* keys;   ///< [kMostKeys]
  std::int32_t* counts;  ///< [256]
  std::int32_t* words;   ///< [16]
};

WEFT_DEVICE DrawRoom draw_room(std::int64_t blocks) {
  const std::int64_t n = max(blocks, kMostKeys);
  DrawRoom room{};
  room.weights = reinterpret_cast<double*>(shared());
  room.sums = room.weights + n;
  room.keys = reinterpret_cast<std::uint64_t*>(room.sums + n);
  room.counts = reinterpret_cast<std::int32_t*>(room.keys + kMostKeys);
  room.words = room.counts + 256;
  return room;
}

/// The least of the threads' numbers; every thread gets it.
WEFT_DEVICE std::int64_t least_of_block(std::int64_t value, std::int32_t* words) {
  auto least = static_cast<std::int32_t>(value);
  for (int mask = 16; mask > 0; mask /= 2) least = min(least, shuffle_xor(least, mask));
  block_barrier();  // the words may still be read
  if (thread() % 32 == 0) words[thread() / 32] = least;
  block_barrier();
  for (int warp = 0; warp < threads() / 32; ++warp) least = min(least, words[warp]);
  return least;
}

/// sums[i] = weights[0] + … + weights[i], ascending, one after the other; gives the last one.
WEFT_DEVICE double running_sums(const DrawRoom& room, std::int64_t count) {
  block_barrier();
  if (thread() == 0) {
    double sum = 0;
    for (std::int64_t i = 0; i < count; ++i) {
      sum += room.weights[i];
      room.sums[i] = sum;
    }
  }
  block_barrier();
  return room.sums[count - 1];
}

/// `everywhere::passing` by all threads, with the running sums. Every thread gets the index.
WEFT_DEVICE std::int64_t passing_of_block(const DrawRoom& room, std::int64_t count, double target) {
  std::int64_t first = count;
  std::int64_t last = 0;
  for (std::int64_t i = thread(); i < count; i += threads()) {
    if (!(room.weights[i] > 0)) continue;
    if (target < room.sums[i]) first = min(first, i);
    last = i;
  }
  first = least_of_block(first, room.words);
  return first < count ? first : -least_of_block(-last, room.words);
}

/// Numbers in the order of (value, then lower index). Those of values above -infinity are not 0.
WEFT_DEVICE std::uint64_t order_key(float value, std::int64_t index) {
  // Adding zero makes the zeros of both signs equal.
  return std::uint64_t{hostdevice::ordered_bits(value + 0.0F)} << 32U |
         (0xffffffffU - static_cast<std::uint32_t>(index));
}
WEFT_DEVICE float value_of(std::uint64_t key) {
  return hostdevice::from_ordered_bits(static_cast<std::uint32_t>(key >> 32U));
}
WEFT_DEVICE std::int32_t index_of(std::uint64_t key) {
  return static_cast<std::int32_t>(0xffffffffU - static_cast<std::uint32_t>(key));
}

/// By the first warp: the digit, from 255 down, with which `wanted` numbers are reached, to
/// words[0] (-1: never), and how many have larger digits, to words[1].
WEFT_DEVICE void find_digit(const std::int32_t* counts, std::int32_t wanted, std::int32_t* words) {
  constexpr int kDigits = 8;  // of a lane
  const int lane = thread();
  const int first = 255 - kDigits * lane;
  std::int32_t sum = 0;
  for (int i = 0; i < kDigits; ++i) sum += counts[first - i];
  std::int32_t above = 0;
  for (int other = 0; other < 32; ++other) {
    const std::int32_t others = shuffle(sum, other);
    if (other < lane) above += others;
  }
  if (lane == 31 && above + sum < wanted) words[0] = -1;
  if (above >= wanted || above + sum < wanted) return;
  int digit = first;
  while (above + counts[digit] < wanted) above += counts[digit--];
  words[0] = digit;
  words[1] = above;
}

/// A number that `count` of the keys reach, no two of which are equal; 0 where there are not that
/// many. `each(f)` calls f with every key of this thread, the same whenever it is called.
template <class Each>
WEFT_DEVICE std::uint64_t threshold(std::int32_t count, const DrawRoom& room, Each each) {
  std::uint64_t found = 0;
  std::int32_t wanted = count;
  for (int shift = 56; shift >= 0; shift -= 8) {
    block_barrier();
    for (int i = thread(); i < 256; i += threads()) room.counts[i] = 0;
    block_barrier();
    each([&](std::uint64_t key) {
      if (shift < 56 && key >> static_cast<unsigned>(shift + 8) != found) return;
      atomic_add(room.counts + (key >> static_cast<unsigned>(shift) & 255U), 1);
    });
    block_barrier();
    if (thread() < 32) find_digit(room.counts, wanted, room.words);
    block_barrier();
    const std::int32_t digit = room.words[0];
    if (digit < 0) return 0;
    wanted -= room.words[1];
    found = found << 8U | static_cast<std::uint64_t>(digit);
    if (room.counts[digit] == wanted) return found << static_cast<unsigned>(shift);
  }
  return found;
}

/// Puts the first `count` keys into descending order.
WEFT_DEVICE void sort_keys(std::uint64_t* keys, std::int32_t count) {
  std::int32_t size = 1;
  while (size < count) size *= 2;
  for (std::int32_t i = count + thread(); i < size; i += threads()) keys[i] = 0;
  block_barrier();
  for (std::int32_t run = 2; run <= size; run *= 2) {
    for (std::int32_t distance = run / 2; distance > 0; distance /= 2) {
      for (std::int32_t i = thread(); i < size / 2; i += threads()) {
        const std::int32_t low = 2 * i - (i & (distance - 1));
        const std::uint64_t a = keys[low];
        const std::uint64_t b = keys[low + distance];
        if ((a < b) != ((low & run) == 0)) continue;
        keys[low] = b;
        keys[low + distance] = a;
      }
      block_barrier();
    }
  }
}

/// A row of logits with the maxima of its blocks of 256 columns.
struct LogitsRow {
  const float* logits;
  const float* maxima;
  std::int64_t columns;
  std::int64_t blocks;
};

/// The keys of the first `count` tokens above -infinity in their order, to room.keys; gives how
/// many there are. They lie in the `count` first blocks in the order of the maxima.
WEFT_DEVICE std::int32_t first_tokens(const LogitsRow& row, std::int32_t count,
                                      const DrawRoom& room) {
  std::uint64_t least_block = 0;
  if (row.blocks > count) {
    least_block = threshold(count, room, [&](auto take) {
      for (std::int64_t b = thread(); b < row.blocks; b += threads()) {
        if (row.maxima[b] > -INFINITY) take(order_key(row.maxima[b], b));
      }
    });
  }
  const auto each = [&](auto take) {
    for (std::int64_t b = thread() / 32; b < row.blocks; b += threads() / 32) {
      const float maximum = row.maxima[b];
      if (!(maximum > -INFINITY) || order_key(maximum, b) < least_block) continue;
      const std::int64_t end = min((b + 1) * 256, row.columns);
      for (std::int64_t c = b * 256 + thread() % 32; c < end; c += 32) {
        const float value = row.logits[c];
        if (value > -INFINITY) take(order_key(value, c));
      }
    }
  };
  const std::uint64_t least = threshold(count, room, each);
  block_barrier();
  if (thread() == 0) room.words[0] = 0;
  block_barrier();
  each([&](std::uint64_t key) {
    if (key >= least) room.keys[atomic_add(room.words, 1)] = key;
  });
  block_barrier();
  const std::int32_t found = room.words[0];
  sort_keys(room.keys, found);
  return found;
}

}  // namespace weft::WEFT_PLATFORM
