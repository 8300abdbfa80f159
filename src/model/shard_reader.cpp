#include "model/shard_reader.h"

#include <algorithm>
#include <cstring>
#include <map>
#include <memory>

#include "base/error.h"
#include "model/shard_file.h"

namespace weft {
namespace {

/// Bytes of one pread: a few digest blocks.
constexpr Bytes kReadBytes = 4 * hdf5::kDigestBlock;

}  // namespace

ShardReader::ShardReader(const std::filesystem::path& directory, const ShardFile& file,
                         std::vector<Piece> pieces, std::span<const TensorSpec> tensors,
                         DType dtype)
    : file_(File::open_read(directory / file.name())), pieces_(std::move(pieces)) {
  const std::string& path = file_.path();
  if (file_.size() != file.bytes) {
    fail_user("{}: {} bytes long, but {} were written", path, file_.size(), file.bytes);
  }
  if (digest_of_extents(file_, file.metadata) != file.metadata_digest) {
    fail_user("{}: damaged, or not the file that was written: the digest of its metadata is wrong",
              path);
  }
  std::vector<hdf5::Dataset> found = hdf5::list(path);
  if (metadata_extents(found, file.bytes, path) != file.metadata) {
    fail_user("{}: its datasets are not where {} says", path, Manifest::kFileName);
  }
  match(std::move(found), tensors, dtype);
}

void ShardReader::match(std::vector<hdf5::Dataset> found, std::span<const TensorSpec> tensors,
                        DType dtype) {
  std::map<std::string, hdf5::Dataset*> by_name;
  for (hdf5::Dataset& dataset : found) by_name[dataset.name] = &dataset;
  if (by_name.size() != pieces_.size()) {
    fail_user("{}: has {} datasets, but {} belong there", file_.path(), by_name.size(),
              pieces_.size());
  }
  for (const Piece& piece : pieces_) {
    const TensorSpec& tensor = tensors[piece.tensor];
    const auto place = by_name.find(piece.dataset);
    if (place == by_name.end()) fail_user("{}: dataset {} is missing", file_.path(), piece.dataset);
    hdf5::Dataset& dataset = *place->second;
    if (dataset.shape != piece.shape(tensor) || dataset.global_shape != tensor.shape ||
        dataset.global_offset != piece.offset(tensor) || dataset.dtype != dtype) {
      fail_user("{}: dataset {} has the wrong shape, offset or element type", file_.path(),
                piece.dataset);
    }
    datasets_.push_back(std::move(dataset));
  }
}

void ShardReader::check_block(const hdf5::Dataset& dataset, Bytes begin,
                              std::span<const std::byte> block) const {
  if (digest_of(block) == dataset.digests[begin / hdf5::kDigestBlock]) return;
  fail_user("{}: dataset {} is damaged between bytes {} and {} of the file", file_.path(),
            dataset.name, dataset.offset + begin, dataset.offset + begin + block.size());
}

Bytes ShardReader::read(std::size_t index, Range rows, const RowSink& sink) const {
  const Piece& piece = pieces_[index];
  const hdf5::Dataset& dataset = datasets_[index];
  require(rows.begin >= piece.rows.begin && rows.end <= piece.rows.end, "{}: rows {}..{} of {}..{}",
          piece.dataset, rows.begin, rows.end, piece.rows.begin, piece.rows.end);
  if (rows.empty()) return 0;
  const Bytes row_bytes = dataset.bytes / static_cast<Bytes>(piece.rows.size());
  const Bytes begin = static_cast<Bytes>(rows.begin - piece.rows.begin) * row_bytes;
  const Bytes end = static_cast<Bytes>(rows.end - piece.rows.begin) * row_bytes;
  const Bytes read_begin = begin / hdf5::kDigestBlock * hdf5::kDigestBlock;
  const Bytes read_end = std::min(
      (end + hdf5::kDigestBlock - 1) / hdf5::kDigestBlock * hdf5::kDigestBlock, dataset.bytes);
  const Bytes capacity = row_bytes + std::min(kReadBytes, read_end - read_begin);
  const auto buffer = std::make_unique_for_overwrite<std::byte[]>(capacity);

  Bytes kept = 0;  // bytes of an incomplete row at the buffer's front
  std::int64_t next_row = rows.begin;
  for (Bytes at = read_begin; at < read_end;) {
    const std::span piece_bytes(buffer.get() + kept, std::min(kReadBytes, read_end - at));
    file_.pread_all(piece_bytes, dataset.offset + at);
    for (Bytes block = 0; block < piece_bytes.size(); block += hdf5::kDigestBlock) {
      check_block(
          dataset, at + block,
          piece_bytes.subspan(block, std::min(hdf5::kDigestBlock, piece_bytes.size() - block)));
    }
    const Bytes skipped = begin > at ? begin - at : 0;  // only in the first read
    const Bytes wanted_end = std::min(end - at, static_cast<Bytes>(piece_bytes.size()));
    const std::span<const std::byte> wanted(buffer.get() + skipped, kept + wanted_end - skipped);
    const auto count = static_cast<std::int64_t>(wanted.size() / row_bytes);
    if (count > 0) {
      sink(next_row, wanted.first(static_cast<Bytes>(count) * row_bytes), count);
      next_row += count;
    }
    kept = wanted.size() % row_bytes;
    std::memmove(buffer.get(), wanted.data() + wanted.size() - kept, kept);
    at += piece_bytes.size();
  }
  require(next_row == rows.end, "{}: rows ended at {}", piece.dataset, next_row);
  return read_end - read_begin;
}

}  // namespace weft
