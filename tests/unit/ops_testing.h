// Helpers for operator tests: random arrays, and comparing implementations bit for bit.
#pragma once

#include <cstdint>
#include <initializer_list>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "ops/ops.h"

namespace weft::testing {

/// A tensor with its memory.
struct Array {
  Buffer buffer;
  Tensor tensor;
};

class Random {
 public:
  explicit Random(std::uint64_t seed) : engine_(seed) {}

  /// Uniform in [low, high].
  std::int64_t between(std::int64_t low, std::int64_t high) {
    return std::uniform_int_distribution<std::int64_t>(low, high)(engine_);
  }
  /// Uniform in [low, high).
  float uniform(float low, float high) {
    return std::uniform_real_distribution<float>(low, high)(engine_);
  }
  /// Either sign, magnitudes from 2^-spread to 2^spread evenly by exponent; now and then a zero, a
  /// negative zero or a denormal.
  float wide(int spread = 20);

  std::vector<float> uniforms(std::int64_t count, float low, float high);
  std::vector<float> wides(std::int64_t count, int spread = 20);

 private:
  std::mt19937_64 engine_;
};

/// `values` rounded to `dtype` in the operators' memory.
Array array(Ops& ops, const std::vector<float>& values, DType dtype,
            std::initializer_list<std::int64_t> shape);
Array ints(Ops& ops, const std::vector<std::int32_t>& values);
/// Memory full of NaN (of -1 when read as integers).
Array poisoned(Ops& ops, DType dtype, std::initializer_list<std::int64_t> shape);

/// A matrix [rows, cut.columns()] packed from `values`.
Matrix matrix(Ops& ops, const std::vector<float>& values, std::int64_t rows, DType dtype,
              const KCut& cut);

/// Returns when `pack` reads none of the arrays that it was given.
void wait_packed(Ops& ops);

std::vector<std::byte> bytes_of(Ops& ops, const Array& from);
/// Elements of a bf16 or f32 array.
std::vector<float> floats_of(Ops& ops, const Array& from);
/// `values` rounded to `dtype` and widened again.
std::vector<float> rounded(std::vector<float> values, DType dtype);

/// Every instruction set that this processor has, with 1 to 4 threads.
const std::vector<std::unique_ptr<Ops>>& implementations();
Ops& reference();

}  // namespace weft::testing
