// One checked shard file, read in rows.
#pragma once

#include <cstddef>
#include <filesystem>
#include <functional>
#include <span>
#include <vector>

#include "base/types.h"
#include "io/file.h"
#include "io/hdf5.h"
#include "model/manifest.h"
#include "model/shard_plan.h"

namespace weft {

/// Takes consecutive whole rows: the first one's index in the whole tensor, their bytes, row-major,
/// and their number. The bytes are valid during the call only.
using RowSink = std::function<void(std::int64_t first_row, std::span<const std::byte> rows,
                                   std::int64_t row_count)>;

/// A shard file whose length, metadata digest and table of contents are right.
class ShardReader {
 public:
  /// Checks length and metadata digest with plain reads, then lets HDF5 look at the file, then
  /// compares its datasets (names, shapes, types, offsets, extents) with `pieces`, and the extents
  /// that they leave free with the manifest's. Throws UserError naming file and dataset.
  ShardReader(const std::filesystem::path& directory, const ShardFile& file,
              std::vector<Piece> pieces, std::span<const TensorSpec> tensors, DType dtype);

  [[nodiscard]] const std::vector<Piece>& pieces() const { return pieces_; }

  /// Gives `sink` the given rows (numbered as in the whole tensor, within the piece's) of piece
  /// `index`, in runs of a few MiB, ascending. Every MiB that they touch is read whole and checked
  /// before any of it is handed out. Returns the bytes read. Throws UserError naming file,
  /// dataset and byte for damage. Several threads may read at once.
  Bytes read(std::size_t index, Range rows, const RowSink& sink) const;

 private:
  void match(std::vector<hdf5::Dataset> found, std::span<const TensorSpec> tensors, DType dtype);
  void check_block(const hdf5::Dataset& dataset, Bytes begin,
                   std::span<const std::byte> block) const;

  File file_;
  std::vector<Piece> pieces_;
  std::vector<hdf5::Dataset> datasets_;  ///< in the order of pieces_
};

}  // namespace weft
