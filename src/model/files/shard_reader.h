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
#include "model/files/double_buffer.h"
#include "model/files/manifest.h"
#include "model/files/shard_plan.h"

namespace weft {

/// Takes consecutive whole rows: the first one's index in the whole tensor, their bytes, row-major,
/// and their number. The bytes are valid during the call only.
using RowSink = std::function<void(std::int64_t first_row, std::span<const std::byte> rows,
                                   std::int64_t row_count)>;

/// Rows are handed out in multiples of this many, counted from the first one asked for; only the
/// last run may have others. CPUs make whole panels of them.
inline constexpr std::int64_t kRowGroup = 32;

/// A shard file whose length, metadata digest and table of contents are right.
class ShardReader {
 public:
  /// Checks length and metadata digest with plain reads, then lets HDF5 look at the file, then
  /// compares its datasets (names, shapes, types, offsets, extents) with `pieces`, and the extents
  /// that they leave free with the manifest's. Throws UserError naming file and dataset. `each`:
  /// see hdf5::list.
  ShardReader(const std::filesystem::path& directory, const ShardFile& file,
              std::vector<Piece> pieces, std::span<const TensorSpec> tensors, DType dtype,
              const std::function<void()>& each = nullptr);

  [[nodiscard]] const std::vector<Piece>& pieces() const { return pieces_; }

  /// Gives `sink` the given rows (numbered as in the whole tensor, within the piece's) of piece
  /// `index`, in runs of about 1 MiB, ascending. Every MiB that they touch is read whole and
  /// checked before any of it is handed out. Returns the bytes read. Throws UserError naming file,
  /// dataset and byte for damage. Several threads may read at once.
  Bytes read(std::size_t index, Range rows, const RowSink& sink) const;
  /// The same by way of `buffers`, which have `buffer_bytes(index)` at least: while one is filled
  /// and checked, what was handed out of another may be read. Some of it may be at the return.
  Bytes read(std::size_t index, Range rows, DoubleBuffer& buffers, const RowSink& sink) const;
  [[nodiscard]] Bytes buffer_bytes(std::size_t index) const;
  /// Has the system read these rows ahead: a part of the file that several threads read in turns
  /// does not look sequential to it.
  void expect(std::size_t index, Range rows) const;

  /// Cuts `rows` of piece `index` into consecutive parts of about 8 MiB, multiples of kRowGroup
  /// rows (but for the last), that share no checked MiB where the width of a row allows it.
  [[nodiscard]] std::vector<Range> parts_of(std::size_t index, Range rows) const;

 private:
  [[nodiscard]] Bytes row_bytes(std::size_t index) const {
    return datasets_[index].bytes / static_cast<Bytes>(pieces_[index].rows.size());
  }
  void match(std::vector<hdf5::Dataset> found, std::span<const TensorSpec> tensors, DType dtype);
  void check_block(const hdf5::Dataset& dataset, Bytes begin,
                   std::span<const std::byte> block) const;

  File file_;
  std::vector<Piece> pieces_;
  std::vector<hdf5::Dataset> datasets_;  ///< in the order of pieces_
};

}  // namespace weft
