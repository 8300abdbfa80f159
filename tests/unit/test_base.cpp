// Element types, random numbers, digests, tensor views and memory accounting.
#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <numeric>
#include <random>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "base/buffer.h"
#include "base/digest.h"
#include "base/dtype.h"
#include "base/error.h"
#include "base/philox.h"
#include "base/tensor.h"
#include "base/xxh3/xxh3.h"
#include "catch.h"

namespace weft {
namespace {

constexpr std::uint32_t kPatterns = 1U << 16;

float f32_of(std::uint32_t bits) { return std::bit_cast<float>(bits); }

/// Nearest bf16 by arithmetic instead of bit tricks: scale to units in the last place of bf16,
/// round with the processor's ties-to-even, scale back.
float nearest_bf16(float value) {
  if (value == 0 || !std::isfinite(value)) return value;
  const int ulp = std::max(std::ilogb(value), -126) - 7;
  const double rounded = std::ldexp(std::nearbyint(std::ldexp(double{value}, -ulp)), ulp);
  return std::abs(rounded) >= 0x1p128 ? std::copysign(std::numeric_limits<float>::infinity(), value)
                                      : static_cast<float>(rounded);
}

TEST_CASE("every bf16 pattern survives the way to f32 and back", "[dtype]") {
  for (std::uint32_t bits = 0; bits < kPatterns; ++bits) {
    const auto pattern = static_cast<std::uint16_t>(bits);
    const bool nan = (bits & 0x7fffU) > 0x7f80U;
    const float wide = f32_from_bf16(pattern);
    CAPTURE(bits);
    REQUIRE(std::isnan(wide) == nan);
    // A signalling NaN becomes a quiet one.
    REQUIRE(bf16_from_f32(wide) == (nan ? bits | 0x40U : bits));
  }
}

TEST_CASE("f32 to bf16 rounds to nearest, ties to even", "[dtype]") {
  struct Case {
    const char* what;
    std::uint32_t f32;
    std::uint16_t bf16;
  };
  for (const Case& c : std::vector<Case>{
           {"+0", 0x00000000, 0x0000},
           {"-0", 0x80000000, 0x8000},
           {"below half", 0x3f807fff, 0x3f80},
           {"tie to even, down", 0x3f808000, 0x3f80},
           {"above half", 0x3f808001, 0x3f81},
           {"tie to even, up", 0x3f818000, 0x3f82},
           {"negative tie, down", 0xbf808000, 0xbf80},
           {"negative tie, up", 0xbf818000, 0xbf82},
           {"carry into the exponent", 0x3fffffff, 0x4000},
           {"smallest denormal to zero", 0x00000001, 0x0000},
           {"denormal tie to zero", 0x00008000, 0x0000},
           {"denormal above the tie", 0x00008001, 0x0001},
           {"denormal tie, up", 0x00018000, 0x0002},
           {"largest denormal to smallest normal", 0x007fffff, 0x0080},
           {"largest that stays finite", 0x7f7f7fff, 0x7f7f},
           {"overflow at the tie", 0x7f7f8000, 0x7f80},
           {"overflow of the largest", 0x7f7fffff, 0x7f80},
           {"negative overflow", 0xff7fffff, 0xff80},
           {"infinity", 0x7f800000, 0x7f80},
           {"-infinity", 0xff800000, 0xff80},
           {"quiet NaN", 0x7fc00000, 0x7fc0},
           {"NaN with payload in the lost bits only", 0x7f800001, 0x7fc0},
           {"negative NaN, all ones", 0xffffffff, 0xffff},
       }) {
    CAPTURE(c.what);
    CHECK(bf16_from_f32(f32_of(c.f32)) == c.bf16);
  }
}

TEST_CASE("f32 to bf16 agrees with rounding by arithmetic", "[dtype]") {
  const auto agrees = [](std::uint32_t bits) {
    const float value = f32_of(bits);
    if (std::isnan(value)) return (bf16_from_f32(value) & 0x7fffU) > 0x7f80U;
    const float wide = f32_from_bf16(bf16_from_f32(value));
    return std::bit_cast<std::uint32_t>(wide) == std::bit_cast<std::uint32_t>(nearest_bf16(value));
  };
  std::mt19937 random(1);
  for (std::uint32_t high = 0; high < kPatterns; ++high) {
    for (const std::uint32_t low : {0x0000U, 0x0001U, 0x7fffU, 0x8000U, 0x8001U, 0xffffU,
                                    static_cast<std::uint32_t>(random()) & 0xffffU}) {
      if (!agrees(high << 16 | low)) FAIL("bits " << (high << 16 | low));
    }
  }
}

TEST_CASE("every f16 pattern is its sign, exponent and fraction", "[dtype]") {
  for (std::uint32_t bits = 0; bits < kPatterns; ++bits) {
    const bool negative = bits >= 0x8000U;
    const int exponent = static_cast<int>(bits / 1024 % 32);
    const int fraction = static_cast<int>(bits % 1024);
    const float value = f32_from_f16(static_cast<std::uint16_t>(bits));
    CAPTURE(bits);
    REQUIRE(std::signbit(value) == negative);
    if (exponent == 31) {
      REQUIRE((fraction == 0 ? std::isinf(value) : std::isnan(value)));
      continue;
    }
    const double magnitude =
        exponent == 0 ? std::ldexp(fraction, -24) : std::ldexp(1024 + fraction, exponent - 25);
    REQUIRE(std::abs(double{value}) == magnitude);
  }
}

TEST_CASE("element types have names and sizes", "[dtype]") {
  for (const DType dtype : {DType::bf16, DType::f32, DType::f16, DType::i32}) {
    CHECK(dtype_from_name(name(dtype)) == dtype);
  }
  CHECK(size_of(DType::bf16) == 2);
  CHECK(size_of(DType::f16) == 2);
  CHECK(size_of(DType::f32) == 4);
  CHECK(size_of(DType::i32) == 4);
  for (const char* wrong : {"", "BF16", "float32", "bf16 "}) {
    CHECK_THROWS_AS(dtype_from_name(wrong), UserError);
  }
}

TEST_CASE("Philox gives the known answers of Random123", "[philox]") {
  struct Case {
    Philox::Block counter;
    std::uint64_t key;
    Philox::Block result;
  };
  constexpr std::uint32_t ones = 0xffffffffU;
  for (const Case& c : std::vector<Case>{
           {{0, 0, 0, 0}, 0, {0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}},
           {{ones, ones, ones, ones},
            ~std::uint64_t{0},
            {0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd}},
           {{0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344},
            0x299f31d0a4093822,
            {0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1}},
       }) {
    CHECK(Philox(c.key)(c.counter) == c.result);
  }
  const Philox philox(0x0123456789abcdef);
  CHECK(philox.at(0x85a308d3243f6a88, 0x0370734413198a2e) ==
        philox({0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344}));
  CHECK(philox.at(7) == philox({7, 0, 0, 0}));
  STATIC_REQUIRE(Philox(0).at(0)[0] == 0x6627e8d5);
}

TEST_CASE("unit numbers are exact and below one", "[philox]") {
  constexpr std::uint32_t ones = 0xffffffffU;
  CHECK(unit_float(0) == 0);
  CHECK(unit_float(0xff) == 0);
  CHECK(unit_float(0x100) == 0x1p-24F);
  CHECK(unit_float(0x80000000) == 0.5F);
  CHECK(unit_float(ones) == 1 - 0x1p-24F);
  CHECK(unit_double(0, 0) == 0);
  CHECK(unit_double(0, 0x7ff) == 0);
  CHECK(unit_double(0, 0x800) == 0x1p-53);
  CHECK(unit_double(0x80000000, 0) == 0.5);
  CHECK(unit_double(ones, ones) == 1 - 0x1p-53);
}

TEST_CASE("digests are those of XXH3-128 and print as hex", "[digest]") {
  // The published value for no input at all.
  CHECK(digest_of(std::string_view()).hex() == "99aa06d3014798d86001c324468d497f");
  const Digest small{1, 0xab};
  CHECK(small.hex() == "000000000000000100000000000000ab");
  CHECK(Digest::from_hex(small.hex()) == small);
  CHECK(digest_of("weft") != digest_of("Weft"));
  const Digest digest = digest_of("weft");
  CHECK(Digest::from_hex(digest.hex()) == digest);
  const std::string good = digest.hex();
  for (const std::string& wrong :
       {std::string(), good.substr(1), good + "0", "g" + good.substr(1), " " + good.substr(1),
        "-" + good.substr(1), "+" + good.substr(1), good.substr(0, 31) + " ", "0x" + good.substr(2),
        good.substr(0, 15) + "-" + good.substr(16), "ABCDEF" + good.substr(6)}) {
    CAPTURE(wrong);
    CHECK_THROWS_AS(Digest::from_hex(wrong), UserError);
  }
}

TEST_CASE("digests are the same with every instruction set", "[digest]") {
  std::vector<std::byte> bytes((std::size_t{1} << 20) + 77);
  for (std::size_t i = 0; i < bytes.size(); ++i) bytes[i] = static_cast<std::byte>(i * i >> 3);
  // Bounds of the algorithm's own cases, and of a MiB.
  for (const std::size_t size :
       {0, 1, 4, 9, 16, 17, 128, 129, 240, 241, 1024, 1025, 65537, 1 << 20, (1 << 20) + 76}) {
    CAPTURE(size);
    const std::span<const std::byte> part = std::span(bytes).subspan(1, size);
    Digester stream;  // the library's own
    stream.add(part);
    const xxh3::Hash fastest = xxh3::fastest_kernel()(part.data(), part.size());
    const xxh3::Hash baseline = xxh3::hash_baseline(part.data(), part.size());
    CHECK(Digest{fastest.high, fastest.low} == stream.result());
    CHECK(Digest{baseline.high, baseline.low} == stream.result());
  }
}

TEST_CASE("a stream has the digest of its pieces put together", "[digest]") {
  std::mt19937 random(2);
  std::string text(5000, '\0');
  for (char& c : text) c = static_cast<char>(random());
  for (const std::size_t longest : {1U, 7U, 64U, 241U, 1024U, 5000U}) {
    Digester digester;
    CHECK(digester.result() == digest_of(""));
    std::size_t done = 0;
    while (done < text.size()) {
      const std::size_t n = std::min<std::size_t>(random() % (longest + 1), text.size() - done);
      digester.add(std::string_view(text).substr(done, n));
      done += n;
      if (done == text.size() / 2) CHECK(digester.result() == digest_of(text.substr(0, done)));
    }
    CAPTURE(longest);
    CHECK(digester.result() == digest_of(text));
    Digester moved(std::move(digester));
    moved.add(std::as_bytes(std::span(text)));
    CHECK(moved.result() == digest_of(text + text));
  }
}

TEST_CASE("ranges and ceilings", "[types]") {
  CHECK(Range{3, 7}.size() == 4);
  CHECK(Range{3, 3}.empty());
  CHECK(Range{3, 7}.contains(3));
  CHECK_FALSE(Range{3, 7}.contains(7));
  CHECK(ceil_div(0, 4) == 0);
  CHECK(ceil_div(1, 4) == 1);
  CHECK(ceil_div(4, 4) == 1);
  CHECK(round_up(5, 4) == 8);
}

TEST_CASE("a tensor is a view with a shape", "[tensor]") {
  std::vector<float> values(24);
  std::iota(values.begin(), values.end(), 0.0F);
  const Tensor cube(values.data(), DType::f32, {4, 3, 2});
  CHECK(cube.dims() == 3);
  CHECK(cube.rows() == 4);
  CHECK(cube.extent(2) == 2);
  CHECK(cube.extent(3) == 1);
  CHECK(cube.row_elements() == 6);
  CHECK(cube.row_stride() == 6);
  CHECK(cube.elements() == 24);
  CHECK(cube.bytes() == 96);
  CHECK(cube.contiguous());
  CHECK(cube.span<float>()[23] == 23);

  const Tensor middle = cube.slice(1, 3);
  CHECK(middle.rows() == 2);
  CHECK(middle.bytes() == 48);
  CHECK(middle.as<float>() == values.data() + 6);
  CHECK(middle.slice(1, 2).span<float>()[0] == 12);
  CHECK(cube.slice(0, 4).span<float>().size() == 24);
  CHECK(cube.slice(4, 4).elements() == 0);

  const Tensor none;
  CHECK_FALSE(none.defined());
  CHECK(none.elements() == 0);
}

TEST_CASE("a tensor checks its preconditions", "[tensor]") {
  std::array<float, 8> values{};
  float* const data = values.data();
  CHECK_THROWS_AS(Tensor(data, DType::f32, {}), Error);
  CHECK_THROWS_AS(Tensor(data, DType::f32, {1, 1, 1, 1, 1}), Error);
  const Tensor matrix(data, DType::f32, {4, 2});
  for (const Range rows : {Range{-1, 2}, Range{3, 2}, Range{0, 5}, Range{5, 5}}) {
    CHECK_THROWS_AS(matrix.slice(rows.begin, rows.end), Error);
  }
  CHECK_THROWS_AS(matrix.as<std::uint16_t>(), Error);
  CHECK_THROWS_AS(matrix.span<double>(), Error);
  CHECK_NOTHROW(Tensor(data, DType::bf16, {8}).as<std::uint16_t>());
}

TEST_CASE("host memory is zeroed, aligned and counted at every size", "[buffer]") {
  constexpr Bytes huge = Bytes{2} << 20;
  HostMemory memory;
  Bytes peak = 0;
  for (const Bytes bytes : {Bytes{1}, Bytes{63}, Bytes{64}, Bytes{65}, Bytes{4097}, huge - 1, huge,
                            huge + 1, 3 * huge - 1, 3 * huge}) {
    CAPTURE(bytes);
    // Dirty first, then again: what comes back must be clean.
    for (int round = 0; round < 2; ++round) {
      const Buffer buffer(memory, bytes);
      CHECK(buffer.bytes() == bytes);
      CHECK(memory.in_use() == bytes);
      CHECK(std::bit_cast<std::uintptr_t>(buffer.data()) % (bytes >= huge ? huge : 64) == 0);
      const std::span<std::byte> all(buffer.data(), bytes);
      CHECK(std::all_of(all.begin(), all.end(), [](std::byte b) { return b == std::byte{0}; }));
      std::fill(all.begin(), all.end(), std::byte{0xa5});
    }
    peak = std::max(peak, bytes);
    CHECK(memory.in_use() == 0);
    CHECK(memory.peak() == peak);
  }
  CHECK_THROWS_AS(Buffer(memory, Bytes{1} << 60), Error);
  CHECK(memory.in_use() == 0);
  CHECK(memory.peak() == peak);
}

TEST_CASE("a buffer owns its memory once", "[buffer]") {
  HostMemory memory;
  Buffer first(memory, 100);
  std::byte* const data = first.data();
  Buffer second(std::move(first));
  CHECK(second.data() == data);
  CHECK(first.data() == nullptr);  // NOLINT(bugprone-use-after-move): that is the test
  CHECK(first.bytes() == 0);
  CHECK(memory.in_use() == 100);

  Buffer third(memory, 50);
  CHECK(memory.in_use() == 150);
  third = std::move(second);
  CHECK(third.data() == data);
  CHECK(memory.in_use() == 100);
  Buffer& itself = third;
  third = std::move(itself);
  CHECK(third.data() == data);
  CHECK(third.tensor(DType::bf16, {10, 5}).data() == data);
  CHECK_THROWS_AS(third.tensor(DType::f32, {26}), Error);
  third = Buffer();
  CHECK(memory.in_use() == 0);
  CHECK(memory.peak() == 150);

  const Buffer empty(memory, 0);
  CHECK(empty.data() == nullptr);
  CHECK(memory.in_use() == 0);
}

}  // namespace
}  // namespace weft
