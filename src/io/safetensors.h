// Checkpoints in the safetensors format: one file, or several with an index.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/types.h"
#include "io/file.h"

namespace weft {

/// One tensor of a safetensors file.
struct SafetensorsEntry {
  std::string dtype;                ///< "BF16", "F16", "F32", …, as in the header
  std::vector<std::int64_t> shape;  ///< any number of extents
  Bytes offset = 0;                 ///< of its first byte in the file
  Bytes bytes = 0;
};

/// An open safetensors file with its checked header. Data are read with pread, never mapped.
///
/// The format: an 8-byte little-endian header length, a JSON header that gives for each tensor
/// dtype, shape and [begin, end) in the data that follow it. Throws UserError, with the file's name
/// and the tensor's, unless the header is at most 100 MB of strict JSON without duplicate keys,
/// every tensor's extent is shape × size of its dtype, and the extents fill the rest of the file
/// without holes, overlaps or trailing bytes. Like the format's own reader it refuses metadata that
/// are not strings, and passes over members that it does not know.
class SafetensorsFile {
 public:
  explicit SafetensorsFile(const std::filesystem::path& path);

  [[nodiscard]] const std::string& path() const { return file_.path(); }
  [[nodiscard]] const std::map<std::string, SafetensorsEntry>& entries() const { return entries_; }

  /// Fills `out` with the tensor's bytes from `offset` (within the tensor) on.
  void read(const SafetensorsEntry& entry, Bytes offset, std::span<std::byte> out) const;

 private:
  File file_;
  std::map<std::string, SafetensorsEntry> entries_;
};

/// All tensors of a Hugging Face checkpoint directory: `model.safetensors`, or the files that
/// `model.safetensors.index.json` names.
class Checkpoint {
 public:
  /// Opens all files. Throws UserError when there is no checkpoint, when a file of the index is
  /// missing, lacks a tensor or is not a plain file name, or when two files hold a tensor of which
  /// the index says nothing.
  explicit Checkpoint(const std::filesystem::path& directory);

  struct Found {
    const SafetensorsFile* file;
    const SafetensorsEntry* entry;
  };

  /// By name, from all files.
  [[nodiscard]] const std::map<std::string, Found, std::less<>>& tensors() const {
    return tensors_;
  }
  /// The tensor with that name; UserError when there is none.
  [[nodiscard]] const Found& at(std::string_view name) const;

 private:
  void add_file(const std::filesystem::path& path);

  std::string directory_;
  std::vector<std::unique_ptr<SafetensorsFile>> files_;
  std::map<std::string, Found, std::less<>> tensors_;
  std::map<std::string, std::string> ambiguous_;  ///< tensors that were found again, and where
};

}  // namespace weft
