#include "model/convert.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <set>
#include <string_view>
#include <unordered_set>
#include <vector>

#include "base/error.h"
#include "io/json.h"
#include "io/safetensors.h"
#include "model/config.h"
#include "model/model_writer.h"

namespace weft {
namespace {

DType dtype_of(const std::string& name, std::string_view tensor) {
  if (name == "BF16") return DType::bf16;
  if (name == "F32") return DType::f32;
  if (name == "F16") return DType::f16;
  fail_user("tensor {}: element type {} is not supported (BF16, F32 and F16 are)", tensor, name);
}

std::string shape_text(const std::vector<std::int64_t>& shape) {
  return fmt::format("[{}]", fmt::join(shape, ", "));
}

bool ignorable(std::string_view name, const ModelConfig& config) {
  if (config.tied_embeddings && name == "lm_head.weight") return true;
  return std::ranges::any_of(
      std::array{".rotary_emb.inv_freq", ".rotary_emb.cos_cached", ".rotary_emb.sin_cached"},
      [&](std::string_view suffix) { return name.ends_with(suffix); });
}

/// UserError unless the checkpoint has exactly the model's tensors, in their shapes.
void check_tensors(const Checkpoint& checkpoint, const std::vector<TensorSpec>& tensors,
                   const ModelConfig& config) {
  std::unordered_set<std::string_view> expected;
  for (const TensorSpec& tensor : tensors) {
    expected.insert(tensor.name);
    const SafetensorsEntry& found = *checkpoint.at(tensor.name).entry;
    if (found.shape != tensor.shape) {
      fail_user("tensor {}: config.json implies shape {}, but the checkpoint has {}", tensor.name,
                shape_text(tensor.shape), shape_text(found.shape));
    }
  }
  for (const auto& [name, found] : checkpoint.tensors()) {
    if (!expected.contains(name) && !ignorable(name, config)) {
      fail_user("tensor {} in {}: {} models with this config.json have no such tensor", name,
                found.file->path(), weft::name(config.architecture));
    }
  }
}

/// The element type to store.
DType choose_dtype(const Checkpoint& checkpoint, const std::vector<TensorSpec>& tensors,
                   const nlohmann::json& config, std::optional<DType> wish) {
  std::set<DType> found;
  for (const TensorSpec& tensor : tensors) {
    found.insert(dtype_of(checkpoint.at(tensor.name).entry->dtype, tensor.name));
  }
  if (wish) return *wish;
  if (found.contains(DType::f16)) {
    fail_user("the checkpoint has F16 tensors: say with --dtype bf16 or --dtype f32 what to store");
  }
  if (found.size() == 1) return *found.begin();
  const std::optional<DType> stated = config_dtype(config);
  if (!stated || stated == DType::f16) {
    fail_user(
        "the checkpoint mixes BF16 and F32 tensors and config.json does not decide: say with "
        "--dtype bf16 or --dtype f32 what to store");
  }
  return *stated;
}

/// An unaligned element of a raw buffer.
template <class T>
T load(const std::byte* from) {
  T value;
  std::memcpy(&value, from, sizeof value);
  return value;
}

float widened(DType from, const std::byte* element) {
  switch (from) {
    case DType::bf16:
      return f32_from_bf16(load<std::uint16_t>(element));
    case DType::f16:
      return f32_from_f16(load<std::uint16_t>(element));
    default:
      return load<float>(element);
  }
}

template <DType From, DType To>
void convert_all(std::span<const std::byte> in, std::span<std::byte> out) {
  const std::size_t count = out.size() / size_of(To);
  for (std::size_t i = 0; i < count; ++i) {
    const float value = widened(From, in.data() + i * size_of(From));
    if constexpr (To == DType::f32) {
      std::memcpy(out.data() + 4 * i, &value, 4);
    } else {
      const std::uint16_t narrow = bf16_from_f32(value);
      std::memcpy(out.data() + 2 * i, &narrow, 2);
    }
  }
}

void convert_elements(DType from, std::span<const std::byte> in, DType to,
                      std::span<std::byte> out) {
  if (from == DType::f32) return convert_all<DType::f32, DType::bf16>(in, out);
  if (from == DType::bf16) return convert_all<DType::bf16, DType::f32>(in, out);
  if (to == DType::bf16) return convert_all<DType::f16, DType::bf16>(in, out);
  convert_all<DType::f16, DType::f32>(in, out);
}

/// The tensors of a checkpoint in one element type.
class CheckpointSource final : public TensorSource {
 public:
  CheckpointSource(const Checkpoint& checkpoint, DType dtype)
      : checkpoint_(checkpoint), dtype_(dtype) {}

  void read_rows(const TensorSpec& tensor, Range rows, std::span<std::byte> out) override {
    const auto& [file, entry] = checkpoint_.at(tensor.name);
    const DType from = dtype_of(entry->dtype, tensor.name);
    const Bytes offset = static_cast<Bytes>(rows.begin * tensor.columns()) * size_of(from);
    if (from == dtype_) return file->read(*entry, offset, out);
    raw_.resize(out.size() / size_of(dtype_) * size_of(from));
    file->read(*entry, offset, raw_);
    convert_elements(from, raw_, dtype_, out);
  }

 private:
  const Checkpoint& checkpoint_;
  DType dtype_;
  std::vector<std::byte> raw_;
};

}  // namespace

void convert(const std::filesystem::path& hf_dir, const std::filesystem::path& model_dir,
             const ModelOptions& options) {
  check_writable(model_dir, options);
  const nlohmann::json config = read_json(hf_dir / "config.json");
  const ModelConfig model = parse_config(config);
  const std::vector<TensorSpec> tensors = tensors_of(model);
  const Checkpoint checkpoint(hf_dir);
  check_tensors(checkpoint, tensors, model);
  const DType dtype = choose_dtype(checkpoint, tensors, config, options.dtype);
  CheckpointSource weights(checkpoint, dtype);
  write_model({config, dtype, weights, options.copy_tokenizer ? hf_dir : std::filesystem::path()},
              model_dir, options);
}

}  // namespace weft
