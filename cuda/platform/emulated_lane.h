// cuda/platform/lane.h on the host: what a kernel's thread does in the emulation.
#pragma once

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>

#include "cuda/platform/emulator.h"
#include "cuda/platform/grid.h"

namespace weft::emulated {

inline int thread() { return here().thread; }
inline int threads() { return here().threads; }
inline int block_x() { return static_cast<int>(here().block.x); }
inline int block_y() { return static_cast<int>(here().block.y); }
inline int block_z() { return static_cast<int>(here().block.z); }
inline int grid_x() { return static_cast<int>(here().grid.x); }
inline int grid_y() { return static_cast<int>(here().grid.y); }
inline int grid_z() { return static_cast<int>(here().grid.z); }
inline std::byte* shared() { return here().shared; }

inline void block_barrier() { wait_for_block(); }
inline void warp_barrier() { wait_for_warp(); }

template <class T>
T shuffle(T value, int from) {
  static_assert(sizeof(T) <= kExchangeBytes);
  std::memcpy(dispatcher_slot(), &value, sizeof(T));
  wait_for_warp();
  T result;
  std::memcpy(&result, exchanged(from & 31), sizeof(T));
  return result;
}
template <class T>
T shuffle_xor(T value, int mask) {
  return shuffle(value, (thread() & 31) ^ mask);
}

inline std::uint32_t ballot(bool value) {
  std::memcpy(dispatcher_slot(), &value, sizeof(value));
  wait_for_warp();
  std::uint32_t bits = 0;
  for (int lane = 0; lane < 32; ++lane) {
    bool other = false;
    std::memcpy(&other, exchanged(lane), sizeof(other));
    bits |= std::uint32_t{other} << lane;
  }
  return bits;
}
inline int count_bits(std::uint32_t bits) { return __builtin_popcount(bits); }

inline std::int32_t atomic_add(std::int32_t* to, std::int32_t value) {
  const std::int32_t before = *to;
  *to += value;
  return before;
}

/// The emulated unit: one fused multiply-add for each k, ascending. (A tensor core adds otherwise;
/// what the tests compare is the order of the k's between the units.)
inline void mma(float (&sums)[4], const std::uint32_t (&a)[4], std::uint32_t b0, std::uint32_t b1) {
  const std::uint32_t words[6] = {a[0], a[1], a[2], a[3], b0, b1};
  std::memcpy(dispatcher_slot(), words, sizeof(words));
  wait_for_warp();
  const auto word = [](int lane, int index) {
    std::uint32_t value = 0;
    std::memcpy(&value, exchanged(lane) + static_cast<std::ptrdiff_t>(index) * 4, 4);
    return value;
  };
  const auto widened = [](std::uint32_t pair, int k) {
    return __builtin_bit_cast(float, (k & 1) != 0 ? pair & 0xffff0000U : pair << 16);
  };
  const int lane = thread() & 31;
  const int g = lane / 4;
  const int t = lane % 4;
  for (int k = 0; k < 16; ++k) {
    const int quad = k % 8 / 2;
    const int high = k / 8;
    for (int i = 0; i < 4; ++i) {
      const int row = g + i / 2 * 8;
      const int column = t * 2 + i % 2;
      const float x = widened(word(row % 8 * 4 + quad, high * 2 + row / 8), k);
      const float y = widened(word(column * 4 + quad, 4 + high), k);
      sums[i] = std::fma(x, y, sums[i]);
    }
  }
}

inline Words4 load_matrices(const void* row) {
  check_address(row, 16, "load_matrices");
  std::memcpy(dispatcher_slot(), &row, sizeof(row));
  wait_for_warp();
  const int lane = thread() & 31;
  Words4 words{};
  for (int i = 0; i < 4; ++i) {
    const std::byte* from = nullptr;
    std::memcpy(&from, exchanged(i * 8 + lane / 4), sizeof(from));
    std::memcpy(&words.at[i], from + static_cast<std::ptrdiff_t>(lane % 4) * 4, 4);
  }
  return words;
}

inline void wait_for_previous() { note_waited(); }

/// Copies happen at the wait, as late as they may.
inline void copy_async(void* to, const void* from, int bytes) {
  check_waited("copy_async");
  check_address(to, 16, "copy_async");
  if (bytes > 0) check_address(from, 16, "copy_async");
  start_copy(static_cast<std::byte*>(to), static_cast<const std::byte*>(from), bytes);
}
inline void copy_commit() { end_copy_group(); }
template <int Left>
void copy_wait() {
  finish_copies(Left);
}

inline Words4 load_ahead(const void* from) {
  check_address(from, 16, "load_ahead");
  Words4 words{};
  std::memcpy(&words, from, sizeof(words));
  return words;
}
inline Words4 load_once(const void* from) {
  check_waited("load_once");
  return load_ahead(from);
}

}  // namespace weft::emulated
