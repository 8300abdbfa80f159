#include "model/files/convert.h"

#include <algorithm>
#include <cstring>
#include <set>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "io/json.h"
#include "model/config/config.h"
#include "model/files/checkpoint_tensors.h"
#include "model/files/model_writer.h"

namespace weft {
namespace {

DType dtype_of(const std::string& name, std::string_view tensor) {
  if (name == "BF16") return DType::bf16;
  if (name == "F32") return DType::f32;
  if (name == "F16") return DType::f16;
  fail_user("tensor {}: element type {} is not supported (BF16, F32 and F16 are)", tensor, name);
}

/// The element type to store.
DType choose_dtype(const CheckpointTensors& checkpoint, const std::vector<TensorSpec>& tensors,
                   const nlohmann::json& config, std::optional<DType> wish) {
  std::set<DType> found;
  for (const TensorSpec& tensor : tensors) {
    for (const CheckpointPart& part : checkpoint.parts(tensor.name)) {
      found.insert(dtype_of(part.entry->dtype, tensor.name));
    }
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
  CheckpointSource(const CheckpointTensors& checkpoint, DType dtype)
      : checkpoint_(checkpoint), dtype_(dtype) {}

  void read_rows(const TensorSpec& tensor, Range rows, std::span<std::byte> out) override {
    const Bytes row_bytes = static_cast<Bytes>(tensor.columns()) * size_of(dtype_);
    std::int64_t begin = 0;  // of the part
    for (const CheckpointPart& part : checkpoint_.parts(tensor.name)) {
      const Range common{std::max(rows.begin, begin), std::min(rows.end, begin + part.rows)};
      if (!common.empty()) {
        read_part(part, tensor, (common.begin - begin) * tensor.columns() + part.first_element,
                  out.subspan(static_cast<Bytes>(common.begin - rows.begin) * row_bytes,
                              static_cast<Bytes>(common.size()) * row_bytes));
      }
      begin += part.rows;
    }
  }

 private:
  /// Elements of a part from `first` on, as many as `out` has room for.
  void read_part(const CheckpointPart& part, const TensorSpec& tensor, std::int64_t first,
                 std::span<std::byte> out) {
    const DType from = dtype_of(part.entry->dtype, tensor.name);
    const Bytes offset = static_cast<Bytes>(first) * size_of(from);
    if (from == dtype_) return part.file->read(*part.entry, offset, out);
    raw_.resize(out.size() / size_of(dtype_) * size_of(from));
    part.file->read(*part.entry, offset, raw_);
    convert_elements(from, raw_, dtype_, out);
  }

  const CheckpointTensors& checkpoint_;
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
  const Checkpoint files(hf_dir);
  const CheckpointTensors checkpoint(files, tensors, model);
  const DType dtype = choose_dtype(checkpoint, tensors, config, options.dtype);
  CheckpointSource weights(checkpoint, dtype);
  write_model({config, dtype, weights, options.copy_tokenizer ? hf_dir : std::filesystem::path()},
              model_dir, options);
}

}  // namespace weft
