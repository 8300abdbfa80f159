#include "model/files/model_writer.h"

#include <algorithm>
#include <bit>
#include <cstring>
#include <nlohmann/json.hpp>
#include <optional>
#include <vector>

#include "base/error.h"
#include "base/version.h"
#include "io/file.h"
#include "model/config/config.h"
#include "model/config/generation_config.h"
#include "model/files/finite.h"
#include "model/files/manifest.h"
#include "model/files/shard_file.h"
#include "model/files/shard_plan.h"

namespace weft {
namespace {

namespace fs = std::filesystem;

/// Bytes of a tensor that are in memory at a time, unless one row is longer.
constexpr Bytes kChunkBytes = Bytes{8} << 20;

void check_cap(const char* name, int cap) {
  if (cap < 1 || cap > kSegmentCapLimit || !std::has_single_bit(static_cast<unsigned>(cap))) {
    fail_user("segment cap '{}' = {}: must be a power of two from 1 to {}", name, cap,
              kSegmentCapLimit);
  }
}

/// MODEL_DIR.partial while it is being filled: emptied at the start, removed unless completed.
class PartialDirectory {
 public:
  explicit PartialDirectory(const fs::path& target) : target_(target), path_(target) {
    path_ += ".partial";
    if (fs::exists(fs::symlink_status(path_))) remove_leftover();
    std::error_code status;
    fs::create_directories(path_, status);
    if (status) fail_user("{}: cannot be created: {}", path_.string(), status.message());
  }
  PartialDirectory(const PartialDirectory&) = delete;
  PartialDirectory& operator=(const PartialDirectory&) = delete;
  ~PartialDirectory() {
    std::error_code ignored;
    if (!complete_) fs::remove_all(path_, ignored);
  }

  [[nodiscard]] const fs::path& path() const { return path_; }

  /// Gives the directory its final name.
  void complete() {
    sync_directory(path_);
    fs::rename(path_, target_);
    complete_ = true;
    sync_directory(target_.parent_path());
  }

 private:
  /// Removes what a killed run left; UserError when it holds anything that weft does not write.
  void remove_leftover() const {
    for (const fs::directory_entry& entry : fs::directory_iterator(path_)) {
      const std::string name = entry.path().filename().string();
      const bool ours = name.starts_with("shard-pp") || name.starts_with(Manifest::kFileName) ||
                        name == kTemplateFolder || is_tokenizer_file(name);
      if (!ours) fail_user("{}: in the way: it holds {}", path_.string(), name);
    }
    fs::remove_all(path_);
  }

  fs::path target_;
  fs::path path_;
  bool complete_ = false;
};

/// The pieces of one tensor in the shard files of its layer range.
struct Target {
  ShardWriter* shard;
  std::size_t index;
};

/// Copies columns [columns.begin, columns.end) of `rows` packed rows into `out`, packed.
void gather_columns(std::span<const std::byte> rows, Bytes row_bytes, Bytes first, Bytes width,
                    std::vector<std::byte>& out) {
  const Bytes count = rows.size() / row_bytes;
  out.resize(count * width);
  for (Bytes row = 0; row < count; ++row) {
    std::memcpy(out.data() + row * width, rows.data() + row * row_bytes + first, width);
  }
}

/// Streams tensors from the source into the shard files of one layer range.
class TensorStream {
 public:
  TensorStream(TensorSource& source, DType dtype)
      : source_(source), dtype_(dtype), element_(size_of(dtype)) {}

  void copy(const TensorSpec& tensor, std::span<const Target> targets) {
    const Bytes row_bytes = static_cast<Bytes>(tensor.columns()) * element_;
    const auto step = static_cast<std::int64_t>(std::max<Bytes>(kChunkBytes / row_bytes, 1));
    for (std::int64_t begin = 0; begin < tensor.rows(); begin += step) {
      const Range rows{begin, std::min(begin + step, tensor.rows())};
      chunk_.resize(static_cast<Bytes>(rows.size()) * row_bytes);
      source_.read_rows(tensor, rows, chunk_);
      check_finite(tensor, rows, {0, tensor.columns()}, dtype_, chunk_);
      for (const Target& target : targets) put(tensor, rows, row_bytes, target);
    }
  }

 private:
  /// The part of the chunk (`rows` of the tensor) that belongs to one piece.
  void put(const TensorSpec& tensor, Range rows, Bytes row_bytes, const Target& target) {
    const Piece& piece = target.shard->pieces()[target.index];
    const Range common{std::max(rows.begin, piece.rows.begin), std::min(rows.end, piece.rows.end)};
    if (common.empty()) return;
    const std::span<const std::byte> part = std::span<const std::byte>(chunk_).subspan(
        static_cast<Bytes>(common.begin - rows.begin) * row_bytes,
        static_cast<Bytes>(common.size()) * row_bytes);
    if (piece.columns.size() == tensor.columns()) {
      target.shard->append(target.index, part);
      return;
    }
    gather_columns(part, row_bytes, static_cast<Bytes>(piece.columns.begin) * element_,
                   static_cast<Bytes>(piece.columns.size()) * element_, gathered_);
    target.shard->append(target.index, gathered_);
  }

  TensorSource& source_;
  DType dtype_;
  Bytes element_;
  std::vector<std::byte> chunk_;
  std::vector<std::byte> gathered_;
};

/// Writes the files of layer range `pp`.
std::vector<ShardFile> write_layer_range(const ModelSource& source, const ShardPlan& plan, int pp,
                                         const fs::path& directory) {
  const std::vector<TensorSpec>& tensors = plan.tensors();
  std::vector<std::unique_ptr<ShardWriter>> shards;
  for (const ShardPlace& place : plan.places()) {
    if (place.pp != pp) continue;
    shards.push_back(std::make_unique<ShardWriter>(directory, place, plan.pieces_at(place), tensors,
                                                   source.dtype));
  }
  std::vector<std::vector<Target>> targets(tensors.size());
  for (const auto& shard : shards) {
    for (std::size_t i = 0; i < shard->pieces().size(); ++i) {
      targets[shard->pieces()[i].tensor].push_back({shard.get(), i});
    }
  }
  TensorStream stream(source.weights, source.dtype);
  for (std::size_t i = 0; i < tensors.size(); ++i) {
    if (!targets[i].empty()) stream.copy(tensors[i], targets[i]);
  }
  std::vector<ShardFile> files;
  for (const auto& shard : shards) files.push_back(shard->finish());
  return files;
}

std::vector<TokenizerFile> copy_tokenizer(const fs::path& from, const fs::path& to) {
  std::vector<TokenizerFile> files;
  if (from.empty()) return files;
  for (const std::string& name : tokenizer_files_in(from)) {
    fs::create_directories((to / name).parent_path());
    copy_file_synced(from / name, to / name);
    files.push_back(describe_tokenizer_file(to, name));
  }
  if (fs::exists(to / kTemplateFolder)) sync_directory(to / kTemplateFolder);
  return files;
}

/// The same place, absolute and without "." or a slash at its end.
fs::path plain_path(const fs::path& path) {
  const fs::path plain = fs::absolute(path).lexically_normal();
  return plain.has_filename() ? plain : plain.parent_path();
}

}  // namespace

void check_writable(const fs::path& model_dir, const ModelOptions& options) {
  check_cap("split", options.caps.split);
  check_cap("whole", options.caps.whole);
  if (options.dtype && *options.dtype != DType::bf16 && *options.dtype != DType::f32) {
    fail_user("dtype {}: weights are stored as bf16 or f32", name(*options.dtype));
  }
  if (fs::exists(model_dir) && !(fs::is_directory(model_dir) && fs::is_empty(model_dir))) {
    fail_user("{}: exists already and is not an empty directory", model_dir.string());
  }
}

void write_model(const ModelSource& source, const fs::path& model_dir,
                 const ModelOptions& options) {
  check_writable(model_dir, options);
  const ModelConfig config = parse_config(source.config);
  if (!source.tokenizer_directory.empty()) {
    check_generation_config(source.tokenizer_directory, config.vocab);
  }
  const ShardPlan plan(config, options.caps, {options.tp, options.pp, options.ep});
  PartialDirectory partial(plain_path(model_dir));
  Manifest manifest;
  manifest.weft_version = kVersion;
  manifest.config = source.config;
  manifest.dtype = source.dtype;
  manifest.caps = options.caps;
  manifest.grid = plan.grid();
  for (int pp = 0; pp < plan.grid().pp; ++pp) {
    for (ShardFile& shard : write_layer_range(source, plan, pp, partial.path())) {
      manifest.shards.push_back(std::move(shard));
    }
  }
  manifest.tokenizer = copy_tokenizer(source.tokenizer_directory, partial.path());
  write_manifest(partial.path(), manifest);
  partial.complete();
}

}  // namespace weft
