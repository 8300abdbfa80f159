// How a thread's arithmetic takes denormal numbers. Inlined everywhere: kernels are compiled for
// several instruction sets, and share no function.
//
// Compilers order memory around a change of the mode, not arithmetic in registers: what is to be
// done in a mode must load its operands, or be a loop or a call, within it.
#pragma once

#include <cstdint>

namespace weft {

#if defined(__x86_64__)

/// Bits of MXCSR: results that are denormal become zeros, and operands that are count as zeros.
inline constexpr std::uint64_t kFlushBits = 0x8040;

[[gnu::always_inline]] inline std::uint64_t float_mode() { return __builtin_ia32_stmxcsr(); }
[[gnu::always_inline]] inline void set_float_mode(std::uint64_t mode) {
  __builtin_ia32_ldmxcsr(static_cast<std::uint32_t>(mode));
  asm volatile("" ::: "memory");  // what is loaded behind it stays behind it
}

#elif defined(__aarch64__)

/// The same in FPCR. An Arm processor tells before rounding whether a result is denormal, others
/// afterwards: a result just below the smallest normal number may differ.
inline constexpr std::uint64_t kFlushBits = std::uint64_t{1} << 24;

[[gnu::always_inline]] inline std::uint64_t float_mode() {
  std::uint64_t mode = 0;
  asm volatile("mrs %0, fpcr" : "=r"(mode));
  return mode;
}
[[gnu::always_inline]] inline void set_float_mode(std::uint64_t mode) {
  asm volatile("msr fpcr, %0" ::"r"(mode) : "memory");
}

#else
#error "how this processor flushes denormal numbers is not known"
#endif

/// From here on, denormal numbers count as zeros. Returns what `set_float_mode` goes back with.
[[gnu::always_inline]] inline std::uint64_t flush_denormals() {
  const std::uint64_t before = float_mode();
  set_float_mode(before | kFlushBits);
  return before;
}

/// From here on, they are numbers like all others.
[[gnu::always_inline]] inline std::uint64_t keep_denormals() {
  const std::uint64_t before = float_mode();
  set_float_mode(before & ~kFlushBits);
  return before;
}

}  // namespace weft
