#include "io/safetensors.h"

#include <algorithm>
#include <array>
#include <optional>
#include <set>

#include "base/error.h"
#include "base/out_of_memory.h"
#include "io/json.h"

namespace weft {
namespace {

using nlohmann::json;

constexpr Bytes kHeaderCap = 100'000'000;
constexpr Bytes kLengthBytes = 8;
constexpr Bytes kIndexCap = Bytes{256} << 20;

/// Bits of one element of a safetensors type; nothing for types that the format does not know.
std::optional<Bytes> element_bits(std::string_view dtype) {
  static const std::map<std::string_view, Bytes> sizes = {
      {"BOOL", 8},        {"U8", 8},      {"I8", 8},      {"F4", 4},      {"F6_E2M3", 6},
      {"F6_E3M2", 6},     {"F8_E4M3", 8}, {"F8_E5M2", 8}, {"F8_E8M0", 8}, {"F8_E4M3FNUZ", 8},
      {"F8_E5M2FNUZ", 8}, {"U16", 16},    {"I16", 16},    {"F16", 16},    {"BF16", 16},
      {"U32", 32},        {"I32", 32},    {"F32", 32},    {"U64", 64},    {"I64", 64},
      {"F64", 64},        {"C64", 64}};
  const auto found = sizes.find(dtype);
  return found == sizes.end() ? std::nullopt : std::optional(found->second);
}

/// A number of bytes or an extent: an unsigned JSON integer below 2^62.
std::uint64_t natural(const json& value, std::string_view where) {
  if (!value.is_number_unsigned() || value.get<std::uint64_t>() >> 62 != 0) {
    fail_user("{}: {} is not a size", where, value.dump().substr(0, 100));
  }
  return value.get<std::uint64_t>();
}

SafetensorsEntry parse_entry(const json& value, const std::string& where) {
  // Other members mean nothing: the format's own reader passes over them, too.
  if (!value.is_object() || !value.contains("dtype") || !value.contains("shape") ||
      !value.contains("data_offsets")) {
    fail_user("{}: must have dtype, shape and data_offsets", where);
  }
  const json& dtype = value["dtype"];
  const json& shape = value["shape"];
  const json& offsets = value["data_offsets"];
  SafetensorsEntry entry;
  if (!dtype.is_string() || !element_bits(dtype.get_ref<const std::string&>())) {
    fail_user("{}: unknown dtype {}", where, dtype.dump().substr(0, 100));
  }
  entry.dtype = dtype;
  if (!shape.is_array() || !offsets.is_array() || offsets.size() != 2) {
    fail_user("{}: shape must be an array and data_offsets an array of two", where);
  }
  Bytes elements = 1;
  for (const json& extent : shape) {
    const std::uint64_t size = natural(extent, where);
    if (__builtin_mul_overflow(elements, size, &elements)) {
      fail_user("{}: shape {} overflows", where, shape.dump().substr(0, 200));
    }
    entry.shape.push_back(static_cast<std::int64_t>(size));
  }
  const Bytes bits = *element_bits(entry.dtype);
  if (elements % 8 * bits % 8 != 0) {
    fail_user("{}: {} {} does not end with a byte", where, entry.dtype,
              shape.dump().substr(0, 200));
  }
  Bytes expected = 0;
  if (__builtin_mul_overflow(elements / 8, bits, &expected) ||
      __builtin_add_overflow(expected, elements % 8 * bits / 8, &expected)) {
    fail_user("{}: shape {} overflows", where, shape.dump().substr(0, 200));
  }
  const std::uint64_t begin = natural(offsets[0], where);
  const std::uint64_t end = natural(offsets[1], where);
  if (begin > end || end - begin != expected) {
    fail_user("{}: data_offsets [{}, {}] do not hold the {} bytes of {} {}", where, begin, end,
              expected, entry.dtype, shape.dump().substr(0, 200));
  }
  entry.offset = begin;
  entry.bytes = expected;
  return entry;
}

/// The header's text; UserError when its length cannot be.
std::string read_header(const File& file) {
  const Bytes size = file.size();
  if (size < kLengthBytes) fail_user("{}: too short for a safetensors file", file.path());
  std::array<std::byte, kLengthBytes> raw;
  file.pread_all(raw, 0);
  Bytes length = 0;
  for (std::size_t i = kLengthBytes; i-- > 0;) length = length << 8 | static_cast<Bytes>(raw[i]);
  if (length > kHeaderCap || length > size - kLengthBytes) {
    fail_user("{}: not a safetensors file, or truncated: a header of {} bytes (the file has {})",
              file.path(), length, size);
  }
  std::string header =
      allocating("the header of " + file.path(), length, [&] { return std::string(length, '\0'); });
  file.pread_all(std::as_writable_bytes(std::span(header.data(), header.size())), kLengthBytes);
  const std::size_t first = header.find_first_not_of(" \t\r\n");
  if (first == std::string::npos || header[first] != '{') {
    fail_user("{}: not a safetensors file: its header is not a JSON object", file.path());
  }
  return header;
}

/// UserError unless the metadata are what the format allows: texts by name, or null.
void check_metadata(const json& metadata, const std::string& path) {
  if (metadata.is_null()) return;
  if (!metadata.is_object()) fail_user("{}: __metadata__ is not an object", path);
  for (const auto& [key, value] : metadata.items()) {
    if (!value.is_string()) {
      fail_user("{}: __metadata__: the value of '{}' is not a string", path, key.substr(0, 200));
    }
  }
}

/// UserError unless the extents, taken in ascending order, fill [0, data_bytes) exactly.
void check_extents(const std::map<std::string, SafetensorsEntry>& entries, Bytes data_bytes,
                   const std::string& path) {
  std::vector<const std::pair<const std::string, SafetensorsEntry>*> order;
  order.reserve(entries.size());
  for (const auto& item : entries) order.push_back(&item);
  std::sort(order.begin(), order.end(), [](const auto* a, const auto* b) {
    return std::pair(a->second.offset, a->second.bytes) <
           std::pair(b->second.offset, b->second.bytes);
  });
  Bytes end = 0;
  for (const auto* item : order) {
    if (item->second.offset != end) {
      fail_user("{}: tensor {} begins at byte {} of the data, but the one before ends at {}", path,
                item->first, item->second.offset, end);
    }
    end += item->second.bytes;
  }
  if (end != data_bytes) {
    fail_user("{}: its tensors end at byte {} of the data, but the file has {} bytes of data", path,
              end, data_bytes);
  }
}

/// A file name of the index; UserError when it could lead out of the directory.
std::string plain_name(const json& value, const std::string& where) {
  if (!value.is_string()) fail_user("{}: a file name must be a string", where);
  const std::string name = value;
  if (!name.ends_with(".safetensors") || name.starts_with(".") ||
      name.find('/') != std::string::npos || name.find('\0') != std::string::npos) {
    fail_user("{}: '{}' is not a plain file name that ends in .safetensors", where,
              name.substr(0, 200));
  }
  return name;
}

}  // namespace

SafetensorsFile::SafetensorsFile(const std::filesystem::path& path) : file_(File::open_read(path)) {
  const std::string text = read_header(file_);
  const json header = parse_json(text, file_.path() + " (header)", {kHeaderCap, 64});
  for (const auto& [name, value] : header.items()) {
    if (name == "__metadata__") {
      check_metadata(value, file_.path());
      continue;
    }
    entries_.emplace(name, parse_entry(value, file_.path() + ": tensor " + name.substr(0, 200)));
  }
  const Bytes data_begin = kLengthBytes + text.size();
  check_extents(entries_, file_.size() - data_begin, file_.path());
  for (auto& [name, entry] : entries_) entry.offset += data_begin;
}

void SafetensorsFile::read(const SafetensorsEntry& entry, Bytes offset,
                           std::span<std::byte> out) const {
  require(offset <= entry.bytes && out.size() <= entry.bytes - offset,
          "{}: bytes {}+{} of a tensor of {}", path(), offset, out.size(), entry.bytes);
  file_.pread_all(out, entry.offset + offset);
}

Checkpoint::Checkpoint(const std::filesystem::path& directory) : directory_(directory.string()) {
  const std::filesystem::path single = directory / "model.safetensors";
  const std::filesystem::path index_path = directory / "model.safetensors.index.json";
  std::error_code ignored;
  if (std::filesystem::exists(single, ignored)) {
    add_file(single);
    return;
  }
  if (!std::filesystem::exists(index_path, ignored)) {
    fail_user("{}: neither model.safetensors nor model.safetensors.index.json is there",
              directory_);
  }
  const json index = read_json(index_path, {kIndexCap, 16});
  if (!index.is_object() || !index.contains("weight_map") || !index["weight_map"].is_object() ||
      index["weight_map"].empty()) {
    fail_user("{}: has no weight_map", index_path.string());
  }
  std::set<std::string> names;
  for (const auto& [tensor, file] : index["weight_map"].items()) {
    names.insert(plain_name(file, index_path.string() + ": tensor " + tensor.substr(0, 200)));
  }
  for (const std::string& name : names) add_file(directory / name);
  std::map<std::string, const SafetensorsFile*> files;
  for (const auto& file : files_) files[file->path()] = file.get();
  for (const auto& [tensor, file] : index["weight_map"].items()) {
    const std::string path = (directory / file.get_ref<const std::string&>()).string();
    const auto& entries = files.at(path)->entries();
    const auto entry = entries.find(tensor);
    if (entry == entries.end()) {
      fail_user("{}: tensor {} is not in {}", index_path.string(), tensor, path);
    }
    tensors_[tensor] = {files.at(path), &entry->second};
    ambiguous_.erase(tensor);
  }
  if (ambiguous_.empty()) return;
  const auto& [tensor, file] = *ambiguous_.begin();
  fail_user("{}: tensor {} is also in {}, and {} does not say which to take", file, tensor,
            tensors_.at(tensor).file->path(), index_path.string());
}

void Checkpoint::add_file(const std::filesystem::path& path) {
  const auto& file = *files_.emplace_back(std::make_unique<SafetensorsFile>(path));
  for (const auto& [name, entry] : file.entries()) {
    const auto [place, fresh] = tensors_.try_emplace(name, Found{&file, &entry});
    if (!fresh) ambiguous_.emplace(name, file.path());
  }
}

const Checkpoint::Found& Checkpoint::at(std::string_view name) const {
  const auto found = tensors_.find(name);
  if (found == tensors_.end()) fail_user("{}: tensor {} is missing", directory_, name);
  return found->second;
}

}  // namespace weft
