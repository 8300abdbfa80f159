#include "model/files/shard_file.h"

#include <algorithm>

#include "base/error.h"
#include "base/progress_counter.h"

namespace weft {

std::vector<ByteExtent> metadata_extents(std::span<const hdf5::Dataset> datasets, Bytes file_bytes,
                                         std::string_view where) {
  std::vector<ByteExtent> extents;
  Bytes end = 0;
  for (const hdf5::Dataset& dataset : datasets) {
    if (dataset.offset < end || dataset.offset > file_bytes ||
        dataset.bytes > file_bytes - dataset.offset) {
      fail_user("{}: dataset {} at byte {} overlaps another or leaves the file", where,
                dataset.name, dataset.offset);
    }
    if (dataset.offset > end) extents.push_back({end, dataset.offset - end});
    end = dataset.offset + dataset.bytes;
  }
  if (end < file_bytes) extents.push_back({end, file_bytes - end});
  return extents;
}

Digest digest_of_extents(const File& file, std::span<const ByteExtent> extents) {
  std::vector<std::byte> buffer;
  Digester digester;
  for (const ByteExtent& extent : extents) {
    for (Bytes offset = extent.offset; offset < extent.end();) {
      buffer.resize(std::min(extent.end() - offset, hdf5::kDigestBlock));
      count_progress();
      file.pread_all(buffer, offset);
      digester.add(buffer);
      offset += buffer.size();
    }
  }
  return digester.result();
}

void BlockDigester::add(std::span<const std::byte> bytes) {
  while (!bytes.empty()) {
    if (in_current_ == 0 && bytes.size() >= hdf5::kDigestBlock) {
      digests_.push_back(digest_of(bytes.first(hdf5::kDigestBlock)));
      bytes = bytes.subspan(hdf5::kDigestBlock);
      continue;
    }
    const Bytes part = std::min<Bytes>(bytes.size(), hdf5::kDigestBlock - in_current_);
    current_.add(bytes.first(part));
    bytes = bytes.subspan(part);
    in_current_ += part;
    if (in_current_ == hdf5::kDigestBlock) {
      digests_.push_back(current_.result());
      current_ = Digester();
      in_current_ = 0;
    }
  }
}

std::vector<Digest> BlockDigester::finish() {
  if (in_current_ > 0) digests_.push_back(current_.result());
  return std::move(digests_);
}

ShardWriter::ShardWriter(const std::filesystem::path& directory, ShardPlace place,
                         std::vector<Piece> pieces, std::span<const TensorSpec> tensors,
                         DType dtype)
    : path_(directory / shard_name(place)),
      place_(place),
      pieces_(std::move(pieces)),
      progress_(pieces_.size()) {
  for (const Piece& piece : pieces_) {
    const TensorSpec& tensor = tensors[piece.tensor];
    hdf5::Dataset dataset;
    dataset.name = piece.dataset;
    dataset.dtype = dtype;
    dataset.shape = piece.shape(tensor);
    dataset.global_shape = tensor.shape;
    dataset.global_offset = piece.offset(tensor);
    datasets_.push_back(std::move(dataset));
  }
  hdf5::create(path_, datasets_);
  file_ = File::open_update(path_);
}

void ShardWriter::append(std::size_t index, std::span<const std::byte> bytes) {
  const hdf5::Dataset& dataset = datasets_[index];
  Progress& progress = progress_[index];
  require(bytes.size() <= dataset.bytes - progress.written, "{}: dataset {} overflows",
          file_.path(), dataset.name);
  progress.digester.add(bytes);
  file_.pwrite_all(bytes, dataset.offset + progress.written);
  progress.written += bytes.size();
}

ShardFile ShardWriter::finish() {
  for (std::size_t i = 0; i < datasets_.size(); ++i) {
    require(progress_[i].written == datasets_[i].bytes, "{}: dataset {} is not complete",
            file_.path(), datasets_[i].name);
    datasets_[i].digests = progress_[i].digester.finish();
  }
  hdf5::write_digests(path_, datasets_);
  std::sort(datasets_.begin(), datasets_.end(),
            [](const hdf5::Dataset& a, const hdf5::Dataset& b) { return a.offset < b.offset; });
  ShardFile shard;
  shard.place = place_;
  shard.bytes = file_.size();
  shard.metadata = metadata_extents(datasets_, shard.bytes, file_.path());
  shard.metadata_digest = digest_of_extents(file_, shard.metadata);
  file_.sync();
  return shard;
}

}  // namespace weft
