#include "attention_fixture.h"

#include <algorithm>
#include <numeric>
#include <random>

namespace weft::testing {
namespace {

std::size_t features(const Fixture& fixture) {
  return static_cast<std::size_t>((fixture.heads.query_heads + 2 * fixture.heads.kv_heads) *
                                  fixture.heads.head_dim);
}

}  // namespace

std::vector<std::int32_t> last(std::int64_t length, std::int64_t count) {
  std::vector<std::int32_t> rows(static_cast<std::size_t>(count));
  std::iota(rows.begin(), rows.end(), static_cast<std::int32_t>(length - count));
  return rows;
}

HeadMap head_map(std::int64_t query_heads, std::int64_t kv_heads, std::int64_t head_dim) {
  HeadMap heads{query_heads, kv_heads, head_dim, {}};
  for (std::int64_t q = 0; q < query_heads; ++q) {
    heads.kv_head_of.push_back(static_cast<std::int32_t>(q * kv_heads / query_heads));
  }
  return heads;
}

void fill(Random& random, Fixture& fixture) {
  const HeadMap& heads = fixture.heads;
  for (const Sequence& sequence : fixture.sequences) {
    std::vector<float> all;
    for (std::int64_t t = 0; t < sequence.length; ++t) {
      for (std::int64_t c = 0; c < (heads.query_heads + heads.kv_heads) * heads.head_dim; ++c) {
        all.push_back(random.uniform(-1.5F, 1.5F));
      }
      for (std::int64_t c = 0; c < heads.kv_heads * heads.head_dim; ++c) {
        all.push_back(random.wide());
      }
    }
    fixture.qkv.push_back(std::move(all));
  }
}

std::vector<std::byte> attend(Ops& ops, const Fixture& fixture) {
  const HeadMap& heads = fixture.heads;
  const auto columns = static_cast<std::int64_t>(features(fixture));
  const auto count = static_cast<std::int64_t>(fixture.sequences.size());
  std::int64_t tokens = 0;
  std::int64_t kv_blocks = 0;
  std::int64_t widest = 1;
  for (const Sequence& sequence : fixture.sequences) {
    const std::int64_t n = ceil_div(sequence.length, fixture.block_tokens);
    tokens += sequence.length;
    kv_blocks += n;
    widest = std::max(widest, n + 1);
  }
  std::vector<std::int32_t> order(static_cast<std::size_t>(kv_blocks));
  std::iota(order.begin(), order.end(), 0);
  std::shuffle(order.begin(), order.end(), std::mt19937(5));

  std::vector<std::int32_t> positions;
  std::vector<std::int32_t> slots;
  const auto padding = static_cast<std::size_t>(fixture.padding);
  std::vector<std::int32_t> table(static_cast<std::size_t>((count + fixture.padding) * widest),
                                  0x7fffffff);
  std::vector<float> rows;
  std::size_t next_block = 0;
  for (std::size_t b = 0; b < fixture.sequences.size(); ++b) {
    for (std::int64_t t = 0; t < fixture.sequences[b].length; ++t) {
      auto& kv_block = table[b * static_cast<std::size_t>(widest) +
                             static_cast<std::size_t>(t / fixture.block_tokens)];
      if (t % fixture.block_tokens == 0) kv_block = order[next_block++];
      positions.push_back(static_cast<std::int32_t>(t));
      slots.push_back(
          static_cast<std::int32_t>(kv_block * fixture.block_tokens + t % fixture.block_tokens));
    }
    rows.insert(rows.end(), fixture.qkv[b].begin(), fixture.qkv[b].end());
  }
  slots.resize(slots.size() + padding, -1);
  rows.resize(rows.size() + padding * features(fixture), 1e30F);
  KvLayer cache{
      nullptr,
      ops.kv_block_bytes(heads.kv_heads, heads.head_dim, fixture.block_tokens, fixture.dtype),
      fixture.block_tokens,
      heads.kv_heads,
      heads.head_dim,
      fixture.dtype};
  const Array storage =
      poisoned(ops, fixture.dtype,
               {kv_blocks, static_cast<std::int64_t>(cache.block_bytes / size_of(fixture.dtype))});
  cache.data = storage.tensor.data();

  const Array all = array(ops, rows, DType::f32, {tokens + fixture.padding, columns});
  const Array q_all =
      poisoned(ops, fixture.dtype, {tokens + fixture.padding, heads.query_heads * heads.head_dim});
  const Array slot_array = ints(ops, slots);
  BatchView append;
  append.slots = slot_array.tensor;
  ops.finish_qkv(all.tensor, heads, QkvTail{}, append, cache, q_all.tensor);

  // The queries of the scene.
  const std::vector<float> q_values = floats_of(ops, q_all);
  const auto q_width = static_cast<std::size_t>(heads.query_heads * heads.head_dim);
  std::vector<float> q;
  std::vector<std::int32_t> at;
  std::vector<std::int32_t> begins = {0};
  std::size_t base = 0;
  for (const Sequence& sequence : fixture.sequences) {
    for (const std::int32_t row : sequence.rows) {
      const auto from = q_values.begin() + static_cast<std::ptrdiff_t>(
                                               (base + static_cast<std::size_t>(row)) * q_width);
      q.insert(q.end(), from, from + static_cast<std::ptrdiff_t>(q_width));
      at.push_back(row);
    }
    base += static_cast<std::size_t>(sequence.length);
    begins.push_back(static_cast<std::int32_t>(at.size()));
  }
  const std::size_t bytes = q.size() * size_of(fixture.dtype);
  q.resize(q.size() + padding * q_width, 1e30F);
  at.resize(at.size() + padding, 0);
  begins.resize(begins.size() + padding, begins.back());
  const auto m = static_cast<std::int64_t>(at.size());
  const Array queries = array(ops, q, fixture.dtype, {m, heads.query_heads * heads.head_dim});
  const Array out = poisoned(ops, fixture.dtype, {m, heads.query_heads * heads.head_dim});
  const Array at_array = ints(ops, at);
  const Array begin_array = ints(ops, begins);
  const Array table_array = ints(ops, table);
  BatchView batch;
  batch.positions = at_array.tensor;
  batch.query_begin = begin_array.tensor;
  batch.block_table =
      Tensor(table_array.tensor.data(), DType::i32, {count + fixture.padding, widest});
  ops.attention(queries.tensor, heads, batch, cache, fixture.scale, fixture.window, out.tensor);
  std::vector<std::byte> result = bytes_of(ops, out);
  result.resize(bytes);
  return result;
}

}  // namespace weft::testing
