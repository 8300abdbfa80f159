#include "ops_testing.h"
#include "ops/make_cpu_ops.h"
#include "reference_ops/make_reference_ops.h"

#include <cmath>
#include <cstring>

namespace weft::testing {

float Random::wide(int spread) {
  const std::int64_t kind = between(0, 99);
  if (kind == 0) return 0.0F;
  if (kind == 1) return -0.0F;
  const float sign = between(0, 1) == 0 ? -1.0F : 1.0F;
  if (kind == 2) return sign * 0x1p-126F * uniform(0.01F, 1.0F);
  const auto exponent = static_cast<int>(between(-spread, spread));
  return sign * std::ldexp(uniform(1.0F, 2.0F), exponent);
}

std::vector<float> Random::uniforms(std::int64_t count, float low, float high) {
  std::vector<float> values;
  for (std::int64_t i = 0; i < count; ++i) values.push_back(uniform(low, high));
  return values;
}

std::vector<float> Random::wides(std::int64_t count, int spread) {
  std::vector<float> values;
  for (std::int64_t i = 0; i < count; ++i) values.push_back(wide(spread));
  return values;
}

namespace {

Array empty(Ops& ops, DType dtype, std::initializer_list<std::int64_t> shape) {
  Array result;
  result.buffer = Buffer(ops.memory(), Tensor(nullptr, dtype, shape).bytes());
  result.tensor = result.buffer.tensor(dtype, shape);
  return result;
}

template <class T>
void upload(Ops& ops, const std::vector<T>& values, const Tensor& to) {
  ops.upload(std::as_bytes(std::span(values)), to);
}

}  // namespace

Array array(Ops& ops, const std::vector<float>& values, DType dtype,
            std::initializer_list<std::int64_t> shape) {
  Array result = empty(ops, dtype, shape);
  if (dtype == DType::f32) {
    upload(ops, values, result.tensor);
  } else {
    std::vector<std::uint16_t> narrow;
    for (const float value : values) narrow.push_back(bf16_from_f32(value));
    upload(ops, narrow, result.tensor);
  }
  return result;
}

Array ints(Ops& ops, const std::vector<std::int32_t>& values) {
  Array result = empty(ops, DType::i32, {static_cast<std::int64_t>(values.size())});
  upload(ops, values, result.tensor);
  return result;
}

Array poisoned(Ops& ops, DType dtype, std::initializer_list<std::int64_t> shape) {
  Array result = empty(ops, dtype, shape);
  const std::vector<std::uint8_t> poison(result.tensor.bytes(), 0xff);
  upload(ops, poison, result.tensor);
  return result;
}

Matrix matrix(Ops& ops, const std::vector<float>& values, std::int64_t rows, DType dtype,
              const KCut& cut) {
  Matrix result;
  result.shape = {rows, dtype, cut};
  result.storage = Buffer(ops.memory(), ops.matrix_bytes(result.shape));
  const std::int64_t columns = cut.columns();
  if (rows == 0 || columns == 0) return result;
  // In four pieces, as shards of a checkpoint would come.
  const std::int64_t row = rows / 3;
  const std::int64_t column = columns / 2;
  const auto reference_ops = make_reference_ops();  // its memory is the host's
  for (const Range r : {Range{0, row}, Range{row, rows}}) {
    for (const Range c : {Range{0, column}, Range{column, columns}}) {
      std::vector<float> piece;
      for (std::int64_t i = r.begin; i < r.end; ++i) {
        for (std::int64_t j = c.begin; j < c.end; ++j) {
          piece.push_back(values[static_cast<std::size_t>(i * columns + j)]);
        }
      }
      const Array part = array(*reference_ops, piece, dtype, {r.size(), c.size()});
      ops.pack(result, r.begin, c.begin, part.tensor);
      wait_packed(ops);
    }
  }
  return result;
}

void wait_packed(Ops& ops) {
  const std::unique_ptr<Fence> fence = ops.make_fence();
  if (!fence) return;
  fence->set();
  fence->wait();
}

std::vector<std::byte> bytes_of(Ops& ops, const Array& from) {
  std::vector<std::byte> bytes(from.tensor.bytes());
  ops.download(from.tensor, bytes);
  return bytes;
}

std::vector<float> floats_of(Ops& ops, const Array& from) {
  const std::vector<std::byte> bytes = bytes_of(ops, from);
  std::vector<float> values(static_cast<std::size_t>(from.tensor.elements()));
  for (std::size_t i = 0; i < values.size(); ++i) {
    if (from.tensor.dtype() == DType::f32) {
      std::memcpy(&values[i], &bytes[i * 4], 4);
    } else {
      std::uint16_t bits = 0;
      std::memcpy(&bits, &bytes[i * 2], 2);
      values[i] = f32_from_bf16(bits);
    }
  }
  return values;
}

std::vector<float> rounded(std::vector<float> values, DType dtype) {
  if (dtype == DType::f32) return values;
  for (float& value : values) value = f32_from_bf16(bf16_from_f32(value));
  return values;
}

const std::vector<std::unique_ptr<Ops>>& implementations() {
  static const std::vector<std::unique_ptr<Ops>> all = [] {
    std::vector<std::unique_ptr<Ops>> list;
    for (const Isa isa : {Isa::avx512_bf16, Isa::avx512, Isa::avx2, Isa::plain}) {
      for (int threads = 1; threads <= 4; ++threads) {
        try {
          list.push_back(make_cpu_ops(threads, isa));
        } catch (const UserError&) {
          // This processor lacks it.
        }
      }
    }
    return list;
  }();
  return all;
}

Ops& reference() {
  static const std::unique_ptr<Ops> ops = make_reference_ops();
  return *ops;
}

}  // namespace weft::testing
