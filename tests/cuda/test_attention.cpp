// The key/value cache and attention on a GPU or the emulation, against the reference
// implementations with probabilities rounded to bf16.
#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>
#include <tuple>

#include "attention_fixture.h"
#include "catch.h"
#include "compare.h"

namespace weft::testing {
namespace {

std::vector<float> floats(const std::vector<std::byte>& bytes, DType dtype) {
  std::vector<float> values;
  for (std::size_t i = 0; i < bytes.size(); i += size_of(dtype)) {
    std::uint32_t bits = 0;
    std::memcpy(&bits, &bytes[i], size_of(dtype));
    if (dtype == DType::bf16) bits <<= 16U;
    values.push_back(std::bit_cast<float>(bits));
  }
  return values;
}

void compare(const Fixture& fixture) {
  INFO(fixture.heads.query_heads << " heads of " << fixture.heads.head_dim << ", pages of "
                                 << fixture.block_tokens << ", window " << fixture.window << " "
                                 << name(fixture.dtype));
  Fixture plain = fixture;
  plain.padding = 0;
  const std::vector<float> references = floats(attend(reference(), plain), fixture.dtype);
  for (int variant = 0; variant < (fixture.dtype == DType::f32 ? 1 : kVariants); ++variant) {
    INFO("variant " << variant);
    const auto ops = make_device(variant);
    const std::vector<float> is = floats(attend(*ops, fixture), fixture.dtype);
    if (fixture.dtype == DType::f32) {
      CHECK((is == references));
    } else {
      check_products(is, references, 5e-3);
    }
  }
}

TEST_CASE("attention: head shapes", "[cuda][attention]") {
  Random random(21);
  for (const DType dtype : {DType::bf16, DType::f32}) {
    for (const auto& [query_heads, kv_heads, head_dim] : {std::tuple{1, 1, 2},
                                                          {2, 1, 10},
                                                          {6, 2, 24},
                                                          {8, 2, 64},
                                                          {4, 1, 80},
                                                          {5, 2, 128},
                                                          {40, 1, 16},
                                                          {2, 2, 256}}) {
      Fixture fixture;
      fixture.heads = head_map(query_heads, kv_heads, head_dim);
      fixture.dtype = dtype;
      fixture.sequences = {{1, {0}}, {5, {}}, {40, last(40, 1)}, {150, last(150, 9)}};
      fill(random, fixture);
      compare(fixture);
    }
  }
}

TEST_CASE("attention: lengths, blocks, windows", "[cuda][attention]") {
  Random random(22);
  for (const DType dtype : {DType::bf16, DType::f32}) {
    for (const std::int64_t block_tokens : {16, 48, 256}) {
      for (const std::int64_t window : {0, 5, 128, 200}) {
        Fixture fixture;
        fixture.heads = head_map(2, 1, 16);
        fixture.dtype = dtype;
        fixture.block_tokens = block_tokens;
        fixture.window = window;
        fixture.sequences = {{300, last(300, 90)},
                             {128, last(128, 1)},
                             {129, last(129, 2)},
                             {520, {0, 3, 127, 128, 255, 256, 300, 511, 519}}};
        fill(random, fixture);
        compare(fixture);
      }
    }
  }
}

TEST_CASE("attention: whole prompts", "[cuda][attention]") {
  Random random(27);
  for (const std::int64_t length : {8, 40, 140}) {
    Fixture fixture;
    fixture.heads = head_map(8, 1, 16);
    fixture.block_tokens = 32;
    fixture.sequences = {{length, last(length, length)}};
    fill(random, fixture);
    compare(fixture);
  }
}

TEST_CASE("attention: rows of no sequence", "[cuda][attention]") {
  Random random(29);
  for (const DType dtype : {DType::bf16, DType::f32}) {
    for (const std::int64_t length : {60, 300}) {
      Fixture fixture;
      fixture.heads = head_map(6, 2, 16);
      fixture.dtype = dtype;
      fixture.padding = 5;
      fixture.sequences = {{length, last(length, 1)}, {17, last(17, 1)}, {128, last(128, 1)}};
      fill(random, fixture);
      compare(fixture);
    }
  }
}

TEST_CASE("attention: many sequences", "[cuda][attention]") {
  Random random(23);
  Fixture fixture;
  fixture.heads = head_map(2, 1, 16);
  for (std::int64_t i = 0; i < 70; ++i) {
    const std::int64_t length = random.between(1, 40);
    fixture.sequences.push_back(
        {length, last(length, random.between(0, std::min<std::int64_t>(length, 2)))});
  }
  fill(random, fixture);
  compare(fixture);
}

TEST_CASE("attention: one long sequence among short ones", "[cuda][attention]") {
  // Results of its many key blocks do not fit the scratch of a variant: slices of the rows.
  Random random(28);
  for (const std::int64_t window : {0, 150}) {
    Fixture fixture;
    fixture.heads = head_map(5, 2, 16);
    fixture.window = window;
    for (std::int64_t i = 0; i < 40; ++i) {
      const std::int64_t length = i == 17 ? 1500 : random.between(3, 60);
      fixture.sequences.push_back({length, last(length, random.between(0, 3))});
    }
    fill(random, fixture);
    compare(fixture);
  }
}

TEST_CASE("attention: an empty batch", "[cuda][attention]") {
  Random random(24);
  Fixture fixture;
  fixture.heads = head_map(2, 1, 16);
  fixture.sequences = {{4, {}}, {0, {}}};
  fill(random, fixture);
  compare(fixture);
}

TEST_CASE("a query does not depend on the rest of the batch", "[cuda][attention]") {
  Random random(25);
  Fixture whole;
  whole.heads = head_map(6, 2, 32);
  whole.window = 140;
  whole.sequences = {{290, last(290, 290)}, {200, last(200, 65)}};
  fill(random, whole);
  const auto width = static_cast<std::ptrdiff_t>(6 * 32 * 2);
  const std::vector<std::byte> together = attend(device(), whole);
  for (int variant = 0; variant < kVariants; ++variant) {
    const auto ops = make_device(variant);
    for (const auto& [first, count] : {std::pair{0, 1}, {127, 2}, {128, 1}, {200, 40}, {289, 1}}) {
      INFO("variant " << variant << ": rows " << first << " + " << count);
      Fixture part = whole;
      part.block_tokens = 32;
      part.sequences = {{290, last(first + count, count)}};
      part.qkv.pop_back();
      const std::vector<std::byte> alone = attend(*ops, part);
      CHECK(std::equal(alone.begin(), alone.end(), together.begin() + first * width));
    }
  }
}

TEST_CASE("finish_qkv: queries, and the bag of what is stored", "[cuda][qkv]") {
  Random random(26);
  for (const DType dtype : {DType::bf16, DType::f32}) {
    for (const std::int64_t dim : {10, 32, 64, 80}) {
      for (const int options : {0, 1, 2, 4, 7}) {
        const HeadMap heads = head_map(5, 2, dim);
        const std::int64_t rows = random.between(1, 20);
        const std::int64_t width = 9 * dim;
        const std::vector<float> qkv = random.wides(rows * width, 4);
        const std::vector<float> bias = random.wides(width, 4);
        const std::vector<float> norms = random.wides(2 * dim, 2);
        const std::vector<float> angles = random.uniforms(rows * dim, -1, 1);
        std::vector<std::int32_t> slots;
        for (std::int32_t m = 0; m < rows; ++m) slots.push_back((m * 7) % 96);
        const auto run = [&](Ops& ops) {
          const Array x = array(ops, qkv, DType::f32, {rows, width});
          const Array b = array(ops, bias, DType::f32, {width});
          const Array norm = array(ops, norms, DType::f32, {2, dim});
          const Array angle = array(ops, angles, DType::f32, {2, rows, dim / 2});
          const Array slot = ints(ops, slots);
          QkvTail tail;
          tail.norm_eps = 1e-6F;
          if ((options & 1) != 0) tail.bias = b.tensor;
          if ((options & 2) != 0) {
            tail.q_norm = Tensor(norm.tensor.as<float>(), DType::f32, {dim});
            tail.k_norm = Tensor(norm.tensor.as<float>() + dim, DType::f32, {dim});
          }
          if ((options & 4) != 0) {
            tail.cosines = Tensor(angle.tensor.as<float>(), DType::f32, {rows, dim / 2});
            tail.sines =
                Tensor(angle.tensor.as<float>() + rows * (dim / 2), DType::f32, {rows, dim / 2});
          }
          KvLayer cache{nullptr, ops.kv_block_bytes(2, dim, 32, dtype), 32, 2, dim, dtype};
          const Array storage = poisoned(
              ops, dtype, {3, static_cast<std::int64_t>(cache.block_bytes / size_of(dtype))});
          cache.data = storage.tensor.data();
          const Array q = poisoned(ops, dtype, {rows, 5 * dim});
          BatchView batch;
          batch.slots = slot.tensor;
          ops.finish_qkv(x.tensor, heads, tail, batch, cache, q.tensor);
          std::vector<std::byte> bytes = bytes_of(ops, q);
          // Where each element lies is the implementation's own affair, and so is the padding of
          // zeros; that attention finds them, the tests above show.
          std::vector<float> stored = floats_of(ops, storage);
          std::erase_if(stored, [](float v) { return std::isnan(v) || v == 0; });
          std::sort(stored.begin(), stored.end());
          const auto more = std::as_bytes(std::span(stored));
          bytes.insert(bytes.end(), more.begin(), more.end());
          return bytes;
        };
        INFO("head_dim " << dim << " options " << options);
        CHECK((run(device()) == run(reference())));
      }
    }
  }
}

}  // namespace
}  // namespace weft::testing
