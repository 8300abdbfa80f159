// XXH3-128 for AVX-512. Compiled with flags of its own.
// GCC 12 warns about its own header (bug 105593).
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wuninitialized"
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"
#include <immintrin.h>
#pragma GCC diagnostic pop

#define XXH_INLINE_ALL
#include <xxhash.h>

#include "base/xxh3/xxh3.h"

namespace weft::xxh3 {

Hash hash_avx512(const void* data, std::size_t bytes) {
  const XXH128_hash_t hash = XXH3_128bits(data, bytes);
  return {hash.high64, hash.low64};
}

}  // namespace weft::xxh3
