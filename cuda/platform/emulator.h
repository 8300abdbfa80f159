// Runs kernels on the host: one block after the other, each thread of a block as a fiber of its
// own.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>

#include "cuda/platform/grid.h"

namespace weft::emulated {

/// What the running kernel thread knows of itself.
struct Place {
  Grid block;
  Grid grid;
  int thread = 0;
  int threads = 0;
  std::byte* shared = nullptr;
  bool waited = false;  ///< for the kernels before this one
};

/// The running kernel thread. Everything below is for kernels only.
const Place& here();

/// Returns when all threads of the warp or block have called it. An Error ends the launch when they
/// do not all come to the same kind of barrier.
void wait_for_warp();
void wait_for_block();

/// Bytes that each lane can show to its warp at a barrier.
inline constexpr std::size_t kExchangeBytes = 32;
/// Where this lane puts them before `wait_for_warp`.
std::byte* dispatcher_slot();
/// What lane `lane` had put there before the last `wait_for_warp`.
const std::byte* exchanged(int lane);

/// Throws Error unless `address` is a multiple of `alignment`.
void check_address(const void* address, std::uintptr_t alignment, const char* operation);

/// This thread has waited for the kernels before this one.
void note_waited();
/// Throws Error unless it has.
void check_waited(const char* operation);

void start_copy(std::byte* to, const std::byte* from, int bytes);
void end_copy_group();
void finish_copies(int groups_left);

/// Runs `kernel` once for each thread of each block. Shared memory starts out full of NaN. The
/// order in which warps and lanes run between barriers changes from one barrier to the next.
/// Throws Error for more threads than any GPU would take and what the kernel throws.
void run(const char* name, const Grid& grid, int threads, std::size_t shared_bytes,
         const std::function<void()>& kernel);

}  // namespace weft::emulated
