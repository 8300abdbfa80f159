// The bytes of a shard file: raw data under per-MiB digests, everything else under one.
#pragma once

#include <filesystem>
#include <span>
#include <vector>

#include "base/digest.h"
#include "io/file.h"
#include "io/hdf5.h"
#include "model/files/manifest.h"
#include "model/files/shard_plan.h"

namespace weft {

/// The parts of a file of `file_bytes` bytes that no dataset covers, ascending. `datasets` must be
/// sorted by offset; throws UserError naming `where` when two overlap or one leaves the file.
std::vector<ByteExtent> metadata_extents(std::span<const hdf5::Dataset> datasets, Bytes file_bytes,
                                         std::string_view where);

/// Digest of the extents' bytes, one after the other.
Digest digest_of_extents(const File& file, std::span<const ByteExtent> extents);

/// Digests of a stream, one for each MiB (the last may be shorter).
class BlockDigester {
 public:
  void add(std::span<const std::byte> bytes);
  /// All digests; nothing may be added afterwards.
  std::vector<Digest> finish();

 private:
  std::vector<Digest> digests_;
  Digester current_;
  Bytes in_current_ = 0;
};

/// Writes one shard file: datasets are created up front, then each is filled front to back.
class ShardWriter {
 public:
  /// Creates `directory`/shard_name(place) with all `pieces`. Throws Error.
  ShardWriter(const std::filesystem::path& directory, ShardPlace place, std::vector<Piece> pieces,
              std::span<const TensorSpec> tensors, DType dtype);

  [[nodiscard]] const std::vector<Piece>& pieces() const { return pieces_; }

  /// The next bytes of piece `index`.
  void append(std::size_t index, std::span<const std::byte> bytes);
  /// Writes the digests, makes the file durable and describes it. Throws Error when a piece is
  /// not complete.
  ShardFile finish();

 private:
  struct Progress {
    Bytes written = 0;
    BlockDigester digester;
  };

  std::filesystem::path path_;
  ShardPlace place_;
  std::vector<Piece> pieces_;
  std::vector<hdf5::Dataset> datasets_;  ///< in the order of pieces_
  std::vector<Progress> progress_;
  File file_;
};

}  // namespace weft
