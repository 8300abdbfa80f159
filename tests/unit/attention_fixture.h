// A cache with sequences of several lengths and queries over it: what the attention tests run.
#pragma once

#include <cstdint>
#include <vector>

#include "ops_testing.h"

namespace weft::testing {

/// One sequence of a scene: `length` tokens in the cache, of which the rows `rows` are queries.
struct Sequence {
  std::int64_t length;
  std::vector<std::int32_t> rows;
};

struct Fixture {
  HeadMap heads;
  DType dtype = DType::bf16;
  std::int64_t block_tokens = 16;
  std::int64_t window = 0;
  float scale = 0.25F;
  std::vector<Sequence> sequences;
  std::int64_t padding = 0;  ///< rows and sequences behind all others: rows of no sequence
  std::vector<std::vector<float>> qkv;  // by sequence: [length, features]
};

/// The last `count` rows of a sequence of `length`.
std::vector<std::int32_t> last(std::int64_t length, std::int64_t count);

/// Query heads shared out evenly.
HeadMap head_map(std::int64_t query_heads, std::int64_t kv_heads, std::int64_t head_dim);

/// Queries and keys of moderate size (so that several keys count), values of wide exponents.
void fill(Random& random, Fixture& fixture);

/// Writes all tokens to a cache that was full of NaN, on blocks in disorder, then attends: what
/// comes out, [queries, query_heads * head_dim].
std::vector<std::byte> attend(Ops& ops, const Fixture& fixture);

}  // namespace weft::testing
