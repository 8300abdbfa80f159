// The key/value cache and attention: CPU kernels against the reference implementations.
#include <algorithm>
#include <bit>
#include <cmath>

#include "attention_fixture.h"
#include "base/elementary.h"
#include "base/progress_counter.h"
#include "catch.h"
#include "ops_testing.h"

namespace weft::testing {
namespace {

void compare(const Fixture& fixture) {
  const std::vector<std::byte> expected = attend(reference(), fixture);
  for (const auto& ops : implementations()) {
    INFO(ops->description() << ": " << fixture.heads.query_heads << " heads of "
                            << fixture.heads.head_dim << ", window " << fixture.window << " "
                            << name(fixture.dtype));
    CHECK((attend(*ops, fixture) == expected));
  }
}

TEST_CASE("attention equals the reference bit for bit: head shapes", "[ops][attention]") {
  Random random(21);
  for (const DType dtype : {DType::bf16, DType::f32}) {
    for (const auto& [query_heads, kv_heads, head_dim] : {std::tuple{1, 1, 2},
                                                          {2, 1, 10},
                                                          {3, 3, 16},
                                                          {6, 2, 24},
                                                          {8, 2, 64},
                                                          {13, 1, 32},
                                                          {4, 1, 80},
                                                          {5, 2, 48},
                                                          {100, 1, 16}}) {
      Fixture fixture;
      fixture.heads = head_map(query_heads, kv_heads, head_dim);
      fixture.dtype = dtype;
      fixture.sequences = {{1, {0}}, {5, {}}, {40, last(40, 1)}, {150, last(150, 9)}};
      fill(random, fixture);
      compare(fixture);
    }
  }
}

TEST_CASE("attention equals the reference bit for bit: lengths, blocks, windows",
          "[ops][attention]") {
  Random random(22);
  for (const DType dtype : {DType::bf16, DType::f32}) {
    for (const std::int64_t block_tokens : {16, 48, 128, 256}) {
      for (const std::int64_t window : {0, 1, 5, 128, 200}) {
        Fixture fixture;
        fixture.heads = head_map(4, 2, 16);
        fixture.dtype = dtype;
        fixture.block_tokens = block_tokens;
        fixture.window = window;
        fixture.sequences = {{300, last(300, 150)},
                             {128, last(128, 1)},
                             {129, last(129, 2)},
                             {520, {0, 3, 127, 128, 255, 256, 300, 511, 519}}};
        fill(random, fixture);
        compare(fixture);
      }
    }
  }
}

TEST_CASE("attention gives signs of life for each sequence and KV head", "[ops][attention]") {
  Random random(26);
  Fixture fixture;
  fixture.heads = head_map(4, 2, 16);
  fixture.sequences = {{40, last(40, 20)}, {30, last(30, 1)}, {20, last(20, 20)}};
  fill(random, fixture);
  for (const auto& ops : implementations()) {
    const std::int64_t before = progress_count();
    attend(*ops, fixture);
    CHECK(progress_count() - before >= 6);
  }
}

TEST_CASE("attention accepts an empty batch", "[ops][attention]") {
  Random random(23);
  Fixture fixture;
  fixture.heads = head_map(2, 1, 16);
  fixture.sequences = {{4, {}}, {0, {}}};
  fill(random, fixture);
  compare(fixture);
}

TEST_CASE("rows of no sequence change nothing", "[ops][attention]") {
  Random random(25);
  for (const DType dtype : {DType::bf16, DType::f32}) {
    Fixture fixture;
    fixture.heads = head_map(6, 2, 16);
    fixture.dtype = dtype;
    fixture.sequences = {{140, last(140, 1)}, {17, last(17, 1)}};
    fill(random, fixture);
    const std::vector<std::byte> expected = attend(reference(), fixture);
    fixture.padding = 3;
    CHECK((attend(reference(), fixture) == expected));
    for (const auto& ops : implementations()) CHECK((attend(*ops, fixture) == expected));
  }
}

TEST_CASE("a query does not depend on the rest of the batch", "[ops][attention]") {
  Random random(24);
  Fixture whole;
  whole.heads = head_map(6, 2, 32);
  whole.window = 140;
  whole.sequences = {{290, last(290, 290)}, {200, last(200, 65)}};
  fill(random, whole);
  const auto width = static_cast<std::ptrdiff_t>(6 * 32 * 2);
  for (const auto& ops : implementations()) {
    INFO(ops->description());
    const std::vector<std::byte> together = attend(*ops, whole);
    for (const std::int32_t row : {0, 1, 64, 127, 128, 200, 289}) {
      Fixture one = whole;
      one.block_tokens = 32;
      one.sequences = {{290, {row}}};
      one.qkv.pop_back();
      const std::vector<std::byte> alone = attend(*ops, one);
      CHECK(std::equal(alone.begin(), alone.end(), together.begin() + row * width));
    }
  }
}

TEST_CASE("attention is accurate, and not the usual running form", "[ops][attention]") {
  Random random(25);
  const std::int64_t length = 400;
  constexpr std::size_t dim = 16;
  Fixture fixture;
  fixture.heads = head_map(1, 1, dim);
  fixture.dtype = DType::f32;
  fixture.sequences = {{length, last(length, length)}};
  fill(random, fixture);
  std::vector<float> out(static_cast<std::size_t>(length) * dim);
  const std::vector<std::byte> bytes = attend(*implementations().front(), fixture);
  std::copy(bytes.begin(), bytes.end(), std::as_writable_bytes(std::span(out)).begin());
  const std::vector<float>& x = fixture.qkv[0];
  int running_differs = 0;
  for (std::size_t m = 0; m < static_cast<std::size_t>(length); m += 13) {
    std::vector<double> scores;
    std::vector<float> dots;
    for (std::size_t j = 0; j <= m; ++j) {
      double exact = 0;
      float dot = 0;
      for (std::size_t d = 0; d < dim; ++d) {
        exact += double{x[m * 48 + d]} * x[j * 48 + 16 + d];
        dot = std::fma(x[m * 48 + d], x[j * 48 + 16 + d], dot);
      }
      scores.push_back(exact * double{fixture.scale});
      dots.push_back(dot * fixture.scale);
    }
    const double maximum = *std::max_element(scores.begin(), scores.end());
    const float top = *std::max_element(dots.begin(), dots.end());
    for (std::size_t d = 0; d < dim; ++d) {
      double total = 0;
      double sum = 0;
      double size = 0;
      float running_total = 0;
      float running = 0;
      for (std::size_t j = 0; j <= m; ++j) {
        const double p = std::exp(scores[j] - maximum);
        total += p;
        sum += p * x[j * 48 + 32 + d];
        size += p * std::abs(x[j * 48 + 32 + d]);
        const float q = exp_f32(dots[j] - top);
        running_total += q;
        running = std::fma(q, x[j * 48 + 32 + d], running);
      }
      const float is = out[m * dim + d];
      CHECK(std::abs(is - sum / total) <= 3e-6 * size / total + 1e-40);
      if (m >= 128) running_differs += is != running / running_total;
    }
  }
  CHECK(running_differs > 50);
}

TEST_CASE("finish_qkv equals the reference bit for bit", "[ops][qkv]") {
  Random random(26);
  for (const DType dtype : {DType::bf16, DType::f32}) {
    for (const std::int64_t dim : {2, 10, 24, 32, 64, 80}) {
      for (const int options : {0, 1, 2, 4, 7}) {
        const HeadMap heads = head_map(5, 2, dim);
        const std::int64_t rows = random.between(1, 40);
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
          // The cache's arrangement is each implementation's own: compare the bag of all elements
          // (that each is where attention looks for it, the tests above show).
          std::vector<float> stored = floats_of(ops, storage);
          std::erase_if(stored, [](float v) { return std::isnan(v); });
          std::sort(stored.begin(), stored.end(), [](float left, float right) {
            return std::bit_cast<std::uint32_t>(left) < std::bit_cast<std::uint32_t>(right);
          });
          const auto more = std::as_bytes(std::span(stored));
          bytes.insert(bytes.end(), more.begin(), more.end());
          return bytes;
        };
        const std::vector<std::byte> expected = run(reference());
        for (const auto& ops : implementations()) {
          INFO(ops->description() << " head_dim " << dim << " options " << options);
          CHECK((run(*ops) == expected));
        }
      }
    }
  }
}

}  // namespace
}  // namespace weft::testing
