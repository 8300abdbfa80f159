#include "model/files/synth.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>

#include "base/error.h"
#include "base/philox.h"
#include "io/json.h"
#include "model/config/config.h"
#include "model/files/model_writer.h"

namespace weft {
namespace {

/// Philox blocks that are computed side by side, in the lanes of vector registers.
constexpr std::size_t kLanes = 16;
/// Weights from one such bundle.
constexpr std::size_t kBundle = 4 * kLanes;

using Lanes = std::array<std::uint32_t, kLanes>;

/// The words of the Philox blocks first … first+kLanes-1 (the same as base/philox.h's), in order.
void philox_words(std::uint64_t key, std::uint64_t first, std::array<std::uint32_t, kBundle>& out) {
  Lanes c0;
  Lanes c1;
  Lanes c2{};
  Lanes c3{};
  for (std::size_t i = 0; i < kLanes; ++i) {
    c0[i] = static_cast<std::uint32_t>(first + i);
    c1[i] = static_cast<std::uint32_t>((first + i) >> 32);
  }
  auto k0 = static_cast<std::uint32_t>(key);
  auto k1 = static_cast<std::uint32_t>(key >> 32);
  for (int round = 0; round < 10; ++round) {
    for (std::size_t i = 0; i < kLanes; ++i) {
      const std::uint64_t p0 = std::uint64_t{0xD2511F53U} * c0[i];
      const std::uint64_t p1 = std::uint64_t{0xCD9E8D57U} * c2[i];
      c0[i] = static_cast<std::uint32_t>(p1 >> 32) ^ c1[i] ^ k0;
      c1[i] = static_cast<std::uint32_t>(p1);
      c2[i] = static_cast<std::uint32_t>(p0 >> 32) ^ c3[i] ^ k1;
      c3[i] = static_cast<std::uint32_t>(p0);
    }
    k0 += 0x9E3779B9U;
    k1 += 0xBB67AE85U;
  }
  for (std::size_t i = 0; i < kLanes; ++i) {
    out[4 * i] = c0[i];
    out[4 * i + 1] = c1[i];
    out[4 * i + 2] = c2[i];
    out[4 * i + 3] = c3[i];
  }
}

/// value = base + scale * v, as synth.h says.
struct Affine {
  float base;
  float scale;
};

Affine affine_of(const TensorSpec& tensor) {
  const std::string_view name = tensor.name;
  if (name == "model.embed_tokens.weight") return {0.0F, 1.0F};
  if (name.ends_with("norm.weight")) return {1.0F, 0.1F};
  if (name.ends_with(".bias")) return {0.0F, 0.1F};
  return {0.0F,
          static_cast<float>(std::sqrt(3.0) / std::sqrt(static_cast<double>(tensor.columns())))};
}

/// Elements [at, end) of the tensor with that Philox key.
void fill(std::uint64_t key, Affine affine, std::uint64_t at, std::uint64_t end, DType dtype,
          std::byte* target) {
  const Bytes element = size_of(dtype);
  std::array<std::uint32_t, kBundle> words;
  std::array<float, kBundle> values;
  std::array<std::uint16_t, kBundle> narrow;
  while (at < end) {
    const std::uint64_t block = at / 4;
    philox_words(key, block, words);
    for (std::size_t i = 0; i < kBundle; ++i) {
      const float product = affine.scale * (unit_float(words[i]) * 2.0F - 1.0F);
      values[i] = affine.base == 0.0F ? product : affine.base + product;
    }
    for (std::size_t i = 0; i < kBundle; ++i) narrow[i] = bf16_from_f32(values[i]);
    const std::uint64_t skip = at - 4 * block;
    const std::uint64_t count = std::min<std::uint64_t>(kBundle - skip, end - at);
    const void* from = dtype == DType::f32 ? static_cast<const void*>(values.data() + skip)
                                           : static_cast<const void*>(narrow.data() + skip);
    std::memcpy(target, from, count * element);
    target += count * element;
    at += count;
  }
}

class SyntheticSource final : public TensorSource {
 public:
  SyntheticSource(std::uint64_t seed, DType dtype) : seed_(seed), dtype_(dtype) {}

  void read_rows(const TensorSpec& tensor, Range rows, std::span<std::byte> out) override {
    synth_rows(tensor, seed_, rows, dtype_, out);
  }

 private:
  std::uint64_t seed_;
  DType dtype_;
};

}  // namespace

std::uint64_t synth_key(std::uint64_t seed, std::string_view tensor_name) {
  std::uint64_t hash = 0xcbf29ce484222325U;
  for (const char letter : tensor_name) {
    hash = (hash ^ static_cast<unsigned char>(letter)) * 0x100000001b3U;
  }
  return hash + seed * 0x9E3779B97F4A7C15U;
}

void synth_rows(const TensorSpec& tensor, std::uint64_t seed, Range rows, DType dtype,
                std::span<std::byte> out) {
  require(dtype == DType::bf16 || dtype == DType::f32, "synthetic weights in {}", name(dtype));
  const std::int64_t columns = tensor.columns();
  const Bytes row_bytes = static_cast<Bytes>(columns) * size_of(dtype);
  require(out.size() == static_cast<Bytes>(rows.size()) * row_bytes, "{}: {} bytes for {} rows",
          tensor.name, out.size(), rows.size());
  const std::int64_t height = tensor.experts > 0 ? tensor.rows_of_expert() : tensor.rows();
  std::byte* target = out.data();
  for (std::int64_t begin = rows.begin; begin < rows.end;) {
    const std::int64_t expert = begin / height;
    const std::int64_t end = std::min(rows.end, (expert + 1) * height);
    const std::uint64_t key = synth_key(seed, name_in_checkpoint(tensor, expert));
    fill(key, affine_of(tensor), static_cast<std::uint64_t>((begin - expert * height) * columns),
         static_cast<std::uint64_t>((end - expert * height) * columns), dtype, target);
    target += static_cast<Bytes>(end - begin) * row_bytes;
    begin = end;
  }
}

void synth(const std::filesystem::path& config_json, const std::filesystem::path& model_dir,
           const ModelOptions& options) {
  check_writable(model_dir, options);
  const nlohmann::json config = read_json(config_json);
  const std::optional<DType> stated = config_dtype(config);
  const DType fallback = stated == DType::f32 ? DType::f32 : DType::bf16;
  const DType dtype = options.dtype.value_or(fallback);
  SyntheticSource weights(options.seed, dtype);
  const std::filesystem::path beside =
      config_json.has_parent_path() ? config_json.parent_path() : std::filesystem::path(".");
  write_model({config, dtype, weights, options.copy_tokenizer ? beside : std::filesystem::path()},
              model_dir, options);
}

}  // namespace weft
