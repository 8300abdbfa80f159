// XXH3-128 of a piece of memory, compiled for the instruction sets that make it faster.
//
// Kernels get plain pointers and no library types: their translation units are compiled for one
// instruction set each, so nothing that they instantiate may be shared with the rest of the
// program. xxHash's own run-time dispatch is not used: with Debian's on an AVX-512 machine the
// plain operators ran 25 times slower afterwards, probably because it leaves the vectors' upper
// halves dirty. Functions that are compiled for AVX as a whole clear them before they return.
#pragma once

#include <cstddef>
#include <cstdint>

namespace weft::xxh3 {

struct Hash {
  std::uint64_t high;
  std::uint64_t low;
};

/// The hash of `bytes` bytes at `data`: the same bits from every kernel.
using Kernel = Hash (*)(const void* data, std::size_t bytes);

Hash hash_baseline(const void* data, std::size_t bytes);
Hash hash_avx2(const void* data, std::size_t bytes);
Hash hash_avx512(const void* data, std::size_t bytes);

/// The fastest kernel for this processor.
Kernel fastest_kernel();

}  // namespace weft::xxh3
