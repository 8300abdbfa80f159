#include "cuda/platform/emulator.h"

#include <ucontext.h>

#include <csetjmp>
#include <cstring>
#include <exception>
#include <memory>
#include <span>
#include <vector>

#include "base/error.h"
#include "base/types.h"

// Switching by jumps costs nanoseconds, by contexts a system call; sanitizers and fortified
// libraries take jumps between stacks for damage.
#if defined(__SANITIZE_ADDRESS__) || defined(_FORTIFY_SOURCE)
#define WEFT_JUMPS 0
#else
#define WEFT_JUMPS 1
#endif
#if defined(__has_feature)
#if __has_feature(address_sanitizer)
#undef WEFT_JUMPS
#define WEFT_JUMPS 0
#endif
#endif

namespace weft::emulated {
namespace {

constexpr int kMostThreads = 1024;
constexpr std::size_t kStackBytes = 128 << 10;
constexpr int kWarp = 32;

struct Copy {
  std::byte* to;
  const std::byte* from;
  int bytes;
  int group;
};

enum class State { ready, at_warp, at_block, done };

/// One thread of the block. It lives on, to run the same thread of the next block.
struct Fiber {
  Place place;
  State state = State::done;
  bool started = false;
  int barriers = 0;  ///< of the warp, so far: which of its two slots a lane writes
  int group = 0;     ///< of copies, the open one
  std::vector<Copy> copies;
  alignas(16) std::byte slots[2][kExchangeBytes] = {};
  ucontext_t context{};
  std::jmp_buf jump{};
  std::unique_ptr<std::byte[]> stack;
};

/// The block that runs. There is one for each thread of the program.
struct Machine {
  std::vector<std::unique_ptr<Fiber>> fibers;
  Fiber* current = nullptr;
  const std::function<void()>* kernel = nullptr;
  std::exception_ptr error;
  ucontext_t scheduler{};
  std::jmp_buf scheduler_jump{};
};

Machine& machine() {
  thread_local Machine the;
  return the;
}

void leave_fiber(Fiber& fiber) {
#if WEFT_JUMPS
  if (_setjmp(fiber.jump) == 0) _longjmp(machine().scheduler_jump, 1);
#else
  swapcontext(&fiber.context, &machine().scheduler);
#endif
}

/// The life of a fiber: one kernel thread after another.
void fiber_main() {
  Machine& the = machine();
  for (;;) {
    Fiber& fiber = *the.current;
    try {
      (*the.kernel)();
    } catch (...) {
      the.error = std::current_exception();
    }
    fiber.state = State::done;
    leave_fiber(fiber);
  }
}

void enter_fiber(Fiber& fiber) {
  Machine& the = machine();
  the.current = &fiber;
#if WEFT_JUMPS
  if (_setjmp(the.scheduler_jump) != 0) return;
  if (fiber.started) _longjmp(fiber.jump, 1);
#else
  if (fiber.started) {
    swapcontext(&the.scheduler, &fiber.context);
    return;
  }
#endif
  fiber.started = true;
  fiber.stack = std::make_unique<std::byte[]>(kStackBytes);
  getcontext(&fiber.context);
  fiber.context.uc_stack.ss_sp = fiber.stack.get();
  fiber.context.uc_stack.ss_size = kStackBytes;
  fiber.context.uc_link = nullptr;
  makecontext(&fiber.context, fiber_main, 0);
#if WEFT_JUMPS
  setcontext(&fiber.context);
#else
  swapcontext(&the.scheduler, &fiber.context);
#endif
}

void wait_in(State state) {
  Fiber& fiber = *machine().current;
  fiber.state = state;
  leave_fiber(fiber);
}

/// Runs a warp until its lanes all wait for the block or have ended.
void run_warp(std::span<const std::unique_ptr<Fiber>> lanes, unsigned& order, const char* name) {
  for (;;) {
    int at_warp = 0;
    const unsigned twist = order++ * 7U % kWarp;
    for (unsigned i = 0; i < kWarp; ++i) {
      Fiber& fiber = *lanes[i ^ twist];
      if (fiber.state == State::ready) enter_fiber(fiber);
      if (machine().error) return;
      at_warp += fiber.state == State::at_warp ? 1 : 0;
    }
    if (at_warp == 0) return;
    require(at_warp == kWarp, "{}: {} of 32 lanes are at a barrier of their warp", name, at_warp);
    for (const auto& fiber : lanes) fiber->state = State::ready;
  }
}

void run_block(std::span<const std::unique_ptr<Fiber>> fibers, unsigned& order, const char* name) {
  const std::size_t warps = fibers.size() / kWarp;
  for (;;) {
    const std::size_t first = order++ % warps;
    std::size_t ended = 0;
    for (std::size_t i = 0; i < warps; ++i) {
      const auto lanes = fibers.subspan((i + first) % warps * kWarp, kWarp);
      run_warp(lanes, order, name);
      if (machine().error) std::rethrow_exception(machine().error);
      for (const auto& fiber : lanes) ended += fiber->state == State::done ? 1 : 0;
    }
    if (ended == fibers.size()) return;
    require(ended == 0, "{}: {} of {} threads ended while the others wait at a barrier", name,
            ended, fibers.size());
    for (const auto& fiber : fibers) fiber->state = State::ready;
  }
}

}  // namespace

const Place& here() { return machine().current->place; }

void wait_for_warp() {
  ++machine().current->barriers;
  wait_in(State::at_warp);
}
void wait_for_block() { wait_in(State::at_block); }

std::byte* dispatcher_slot() {
  Fiber& fiber = *machine().current;
  return fiber.slots[fiber.barriers % 2];
}

const std::byte* exchanged(int lane) {
  const Fiber& fiber = *machine().current;
  const auto peer = static_cast<std::size_t>(fiber.place.thread / kWarp * kWarp + lane);
  return machine().fibers[peer]->slots[(fiber.barriers + 1) % 2];
}

void check_address(const void* address, std::uintptr_t alignment, const char* operation) {
  require(reinterpret_cast<std::uintptr_t>(address) % alignment == 0,
          "{}: an address that is not a multiple of {}", operation, alignment);
}

void note_waited() { machine().current->place.waited = true; }

void check_waited(const char* operation) {
  require(here().waited, "{} before wait_for_previous", operation);
}

void start_copy(std::byte* to, const std::byte* from, int bytes) {
  Fiber& fiber = *machine().current;
  fiber.copies.push_back({to, from, bytes, fiber.group});
}

void end_copy_group() { ++machine().current->group; }

void finish_copies(int groups_left) {
  Fiber& fiber = *machine().current;
  std::erase_if(fiber.copies, [&](const Copy& copy) {
    if (copy.group >= fiber.group - groups_left) return false;
    if (copy.bytes > 0) std::memcpy(copy.to, copy.from, static_cast<std::size_t>(copy.bytes));
    std::memset(copy.to + copy.bytes, 0, static_cast<std::size_t>(16 - copy.bytes));
    return true;
  });
}

void run(const char* name, const Grid& grid, int threads, std::size_t shared_bytes,
         const std::function<void()>& kernel) {
  require(threads > 0 && threads <= kMostThreads && threads % kWarp == 0, "{}: {} threads", name,
          threads);
  Machine& the = machine();
  require(the.current == nullptr, "{}: launched by a kernel", name);
  while (the.fibers.size() < static_cast<std::size_t>(threads)) {
    the.fibers.push_back(std::make_unique<Fiber>());
  }
  const std::span<const std::unique_ptr<Fiber>> fibers(the.fibers.data(),
                                                       static_cast<std::size_t>(threads));
  std::vector<std::byte> memory(shared_bytes + 128);
  std::byte* const shared =
      memory.data() + (128 - reinterpret_cast<std::uintptr_t>(memory.data()) % 128) % 128;
  the.kernel = &kernel;
  the.error = nullptr;
  unsigned order = 0;
  const auto finish = [&] {
    the.current = nullptr;
    the.kernel = nullptr;
  };
  try {
    for (std::int64_t block = 0; block < grid.blocks(); ++block) {
      std::memset(shared, 0xff, shared_bytes);
      for (int thread = 0; thread < threads; ++thread) {
        Fiber& fiber = *fibers[static_cast<std::size_t>(thread)];
        fiber.place = {{block % grid.x, block / grid.x % grid.y, block / (grid.x * grid.y)},
                       grid,
                       thread,
                       threads,
                       shared,
                       false};
        fiber.state = State::ready;
        fiber.group = 0;
        fiber.copies.clear();
      }
      run_block(fibers, order, name);
    }
  } catch (...) {
    // Fibers that were left in the middle of a kernel cannot go on: new ones next time.
    the.fibers.clear();
    finish();
    throw;
  }
  finish();
}

}  // namespace weft::emulated
