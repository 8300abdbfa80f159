// Checkpoints and model directories of tests: made small, read back whole.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <map>
#include <nlohmann/json.hpp>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "catch.h"
#include "model/files/model_reader.h"
#include "model/model_options.h"
#include "temp_dir.h"

namespace weft::testing {

inline void write_file(const std::filesystem::path& path, std::string_view contents) {
  std::ofstream out(path, std::ios::binary | std::ios::trunc);
  out.write(contents.data(), static_cast<std::streamsize>(contents.size()));
  if (!out.flush()) fail("cannot write {}", path.string());
}

/// The message of the UserError that `action` throws; empty when it throws nothing. Other
/// exceptions pass through and fail the test.
template <class Action>
std::string user_error(Action action) {
  return message_of<UserError>(action);
}

inline bool contains(std::string_view text, std::string_view part) {
  return text.find(part) != std::string_view::npos;
}

/// A safetensors file: length, header, data.
inline std::string safetensors(std::string_view header, std::string_view data) {
  std::string text;
  for (int i = 0; i < 8; ++i) {
    text.push_back(static_cast<char>(static_cast<std::uint64_t>(header.size()) >> (8 * i)));
  }
  return text.append(header).append(data);
}

/// One tensor with its raw bytes.
struct RawTensor {
  std::string dtype;  ///< "F32", …
  std::vector<std::int64_t> shape;
  std::string bytes;
};
using RawTensors = std::map<std::string, RawTensor>;

/// A valid safetensors file with these tensors.
inline std::string safetensors(const RawTensors& tensors) {
  nlohmann::json header = {{"__metadata__", {{"format", "pt"}}}};
  std::string data;
  for (const auto& [name, tensor] : tensors) {
    header[name] = {{"dtype", tensor.dtype},
                    {"shape", tensor.shape},
                    {"data_offsets", {data.size(), data.size() + tensor.bytes.size()}}};
    data += tensor.bytes;
  }
  std::string text = header.dump();
  text.resize((text.size() + 7) / 8 * 8, ' ');
  return safetensors(text, data);
}

/// Uneven in every way: 3 vocabulary blocks, 6 heads in 4 segments, 7 units of ffn in 4 segments.
inline nlohmann::json small_config() {
  return {{"model_type", "qwen3"},  {"hidden_size", 48},        {"intermediate_size", 100},
          {"num_hidden_layers", 3}, {"num_attention_heads", 6}, {"num_key_value_heads", 2},
          {"head_dim", 8},          {"vocab_size", 600},        {"max_position_embeddings", 64},
          {"attention_bias", true}, {"rms_norm_eps", 1e-5},     {"rope_theta", 1e6}};
}

/// The bytes of each tensor, whole.
using Contents = std::map<std::string, std::string>;

inline ModelOptions grid(int tp, int pp) {
  ModelOptions options;
  options.tp = tp;
  options.pp = pp;
  return options;
}

/// Rows [rows.begin, rows.end) of a row-cut or uncut tensor through the reader.
inline std::string read_rows(ModelReader& reader, const TensorSpec& tensor, Range rows) {
  std::string out;
  std::int64_t next = rows.begin;
  reader.read_rows(
      tensor, rows, [&](std::int64_t first, std::span<const std::byte> bytes, std::int64_t count) {
        REQUIRE(first == next);
        REQUIRE(bytes.size() ==
                static_cast<Bytes>(count * tensor.columns()) * size_of(reader.dtype()));
        next += count;
        out.append(reinterpret_cast<const char*>(bytes.data()), bytes.size());
      });
  REQUIRE(next == std::max(rows.begin, rows.end));
  return out;
}

/// A column-cut tensor put together from its segments.
inline std::string read_segments(ModelReader& reader, const TensorSpec& tensor) {
  const Bytes element = size_of(reader.dtype());
  const Bytes row_bytes = static_cast<Bytes>(tensor.columns()) * element;
  const Segments& cut = column_segments(tensor, reader.segments());
  std::string out(static_cast<Bytes>(tensor.rows()) * row_bytes, '\0');
  for (int segment = 0; segment < cut.count(); ++segment) {
    const Range columns = cut.columns_of(segment);
    const Bytes width = static_cast<Bytes>(columns.size()) * element;
    std::int64_t next = 0;
    reader.read_segment(
        tensor, segment, {0, tensor.rows()},
        [&](std::int64_t first, std::span<const std::byte> bytes, std::int64_t count) {
          REQUIRE(first == next);
          REQUIRE(bytes.size() == static_cast<Bytes>(count) * width);
          for (std::int64_t i = 0; i < count; ++i) {
            std::memcpy(out.data() + static_cast<Bytes>(first + i) * row_bytes +
                            static_cast<Bytes>(columns.begin) * element,
                        bytes.data() + static_cast<Bytes>(i) * width, width);
          }
          next += count;
        });
    REQUIRE(next == tensor.rows());
  }
  return out;
}

inline Contents read_all(const std::filesystem::path& directory) {
  ModelReader reader(directory);
  Contents contents;
  for (const TensorSpec& tensor : reader.tensors()) {
    contents[tensor.name] = tensor.cut_by_columns() ? read_segments(reader, tensor)
                                                    : read_rows(reader, tensor, {0, tensor.rows()});
  }
  return contents;
}

}  // namespace weft::testing
