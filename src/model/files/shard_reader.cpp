#include "model/files/shard_reader.h"

#include <algorithm>
#include <cstring>
#include <map>
#include <memory>
#include <numeric>

#include "base/error.h"
#include "base/progress_counter.h"
#include "model/files/shard_file.h"

namespace weft {
namespace {

/// About what one thread reads in one go.
constexpr Bytes kPartBytes = 8 * hdf5::kDigestBlock;

}  // namespace

ShardReader::ShardReader(const std::filesystem::path& directory, const ShardFile& file,
                         std::vector<Piece> pieces, std::span<const TensorSpec> tensors,
                         DType dtype, const std::function<void()>& each)
    : file_(File::open_read(directory / file.name())), pieces_(std::move(pieces)) {
  const std::string& path = file_.path();
  if (file_.size() != file.bytes) {
    fail_user("{}: {} bytes long, but {} were written", path, file_.size(), file.bytes);
  }
  if (digest_of_extents(file_, file.metadata) != file.metadata_digest) {
    fail_user("{}: damaged, or not the file that was written: the digest of its metadata is wrong",
              path);
  }
  std::vector<hdf5::Dataset> found = hdf5::list(path, each);
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

Bytes ShardReader::buffer_bytes(std::size_t index) const {
  return kRowGroup * row_bytes(index) + std::min(hdf5::kDigestBlock, datasets_[index].bytes);
}

std::vector<Range> ShardReader::parts_of(std::size_t index, Range rows) const {
  if (rows.empty()) return {};
  const Bytes row = row_bytes(index);
  // Rows after which a row begins together with a block: a power of two, as the block's size is.
  const Bytes period = hdf5::kDigestBlock / std::gcd(hdf5::kDigestBlock, row);
  const Bytes most = std::max<Bytes>(kPartBytes / row, kRowGroup);
  const Bytes unit = std::max<Bytes>(period, kRowGroup);
  const auto step =
      static_cast<std::int64_t>(unit <= most ? most / unit * unit : most / kRowGroup * kRowGroup);
  std::vector<Range> parts;
  for (std::int64_t begin = rows.begin; begin < rows.end; begin += step) {
    parts.push_back({begin, std::min(begin + step, rows.end)});
  }
  return parts;
}

void ShardReader::expect(std::size_t index, Range rows) const {
  const Bytes row = row_bytes(index);
  const std::int64_t before = rows.begin - pieces_[index].rows.begin;
  file_.expect(datasets_[index].offset + static_cast<Bytes>(before) * row,
               static_cast<Bytes>(rows.size()) * row);
}

Bytes ShardReader::read(std::size_t index, Range rows, const RowSink& sink) const {
  if (rows.empty()) return 0;
  HostMemory memory;
  DoubleBuffer buffers({memory}, buffer_bytes(index));
  return read(index, rows, buffers, sink);
}

Bytes ShardReader::read(std::size_t index, Range rows, DoubleBuffer& buffers,
                        const RowSink& sink) const {
  const Piece& piece = pieces_[index];
  const hdf5::Dataset& dataset = datasets_[index];
  require(rows.begin >= piece.rows.begin && rows.end <= piece.rows.end, "{}: rows {}..{} of {}..{}",
          piece.dataset, rows.begin, rows.end, piece.rows.begin, piece.rows.end);
  if (rows.empty()) return 0;
  const Bytes row = row_bytes(index);
  const Bytes begin = static_cast<Bytes>(rows.begin - piece.rows.begin) * row;
  const Bytes end = static_cast<Bytes>(rows.end - piece.rows.begin) * row;
  const Bytes first = begin / hdf5::kDigestBlock * hdf5::kDigestBlock;

  std::span<const std::byte> kept;  // of the buffer before: does not make a group of rows yet
  std::int64_t next_row = rows.begin;
  Bytes at = first;
  while (at < end) {
    count_progress();
    const std::span<std::byte> buffer = buffers.next();
    require(buffer.size() >= buffer_bytes(index), "{}: a buffer of {} bytes", piece.dataset,
            buffer.size());
    if (!kept.empty()) std::memmove(buffer.data(), kept.data(), kept.size());
    const auto block =
        buffer.subspan(kept.size(), std::min(hdf5::kDigestBlock, dataset.bytes - at));
    file_.pread_all(block, dataset.offset + at);
    check_block(dataset, at, block);
    const Bytes skipped = begin > at ? begin - at : 0;  // only in the first block
    const Bytes wanted_end = std::min(end - at, static_cast<Bytes>(block.size()));
    const std::span<const std::byte> wanted =
        buffer.subspan(skipped, kept.size() + wanted_end - skipped);
    at += block.size();
    auto count = static_cast<std::int64_t>(wanted.size() / row);
    if (at < end) count -= count % kRowGroup;
    const Bytes handed = static_cast<Bytes>(count) * row;
    if (count > 0) sink(next_row, wanted.first(handed), count);
    buffers.handed_out();
    next_row += count;
    kept = wanted.subspan(handed);
  }
  require(next_row == rows.end, "{}: rows ended at {}", piece.dataset, next_row);
  return at - first;
}

}  // namespace weft
