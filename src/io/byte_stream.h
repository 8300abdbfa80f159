// Reading a file from front to back, unpacked where it is compressed.
#pragma once

#include <cstddef>
#include <filesystem>
#include <memory>
#include <span>

#include "io/file.h"

namespace weft {

/// A sequence of bytes.
class ByteStream {
 public:
  virtual ~ByteStream() = default;

  /// Fills the front of `out`, which must not be empty, and returns how many bytes were read; 0 at
  /// the end and not before.
  virtual std::size_t read(std::span<std::byte> out) = 0;
};

/// The bytes of a file as they are, up to the length that it had when it was opened.
std::unique_ptr<ByteStream> plain_stream(File file);

/// The contents of a file: unpacked when it begins as a gzip or zstd file does, else as they are.
/// Several gzip members and zstd frames count as one file. Memory does not grow with the file; zstd
/// windows above 128 MiB are refused. Throws UserError when the file cannot be opened; `read`
/// throws UserError where a compressed file is damaged, ends early, or goes on with something else.
std::unique_ptr<ByteStream> open_stream(const std::filesystem::path& path);

}  // namespace weft
