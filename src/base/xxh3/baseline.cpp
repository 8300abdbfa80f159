// XXH3-128 for what every processor of its kind has.
#define XXH_INLINE_ALL
#include <xxhash.h>

#include "base/xxh3/xxh3.h"

namespace weft::xxh3 {

Hash hash_baseline(const void* data, std::size_t bytes) {
  const XXH128_hash_t hash = XXH3_128bits(data, bytes);
  return {hash.high64, hash.low64};
}

}  // namespace weft::xxh3
