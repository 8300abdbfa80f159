// Reads any part of a model from its shard files, whatever parts they are cut into.
#pragma once

#include <atomic>
#include <cstddef>
#include <filesystem>
#include <functional>
#include <memory>
#include <mutex>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include "base/buffer.h"
#include "base/dtype.h"
#include "base/types.h"
#include "comm/group.h"
#include "model/config/config.h"
#include "model/files/double_buffer.h"
#include "model/files/manifest.h"
#include "model/files/shard_plan.h"
#include "model/files/shard_reader.h"
#include "model/files/weight_broadcast.h"
#include "model/tensors.h"

namespace weft {

/// Rows of a tensor, and who takes them.
struct ReadTask {
  const TensorSpec* tensor = nullptr;
  int segment = -1;  ///< of a tensor that is cut by columns, else -1
  Range rows;
  RowSink sink;
};

/// A model directory, open for reading. Several threads may read at once.
class ModelReader {
 public:
  /// Reads and checks the manifest; shard files are opened when something in them is asked for.
  /// Throws UserError when the directory is not a model, its manifest is damaged, or it has files
  /// that a run would read and the manifest does not list.
  explicit ModelReader(const std::filesystem::path& directory);

  [[nodiscard]] const std::filesystem::path& directory() const { return directory_; }
  [[nodiscard]] const Manifest& manifest() const { return manifest_; }
  /// As config.json says; the end-of-sequence ids are generation_config.json's where it has any.
  [[nodiscard]] const ModelConfig& config() const { return config_; }
  [[nodiscard]] DType dtype() const { return manifest_.dtype; }
  [[nodiscard]] const SegmentCaps& caps() const { return manifest_.caps; }
  [[nodiscard]] const ModelSegments& segments() const { return plan_.segments(); }
  [[nodiscard]] const std::vector<TensorSpec>& tensors() const { return plan_.tensors(); }
  /// The tensor with that name; Error when the model has none.
  [[nodiscard]] const TensorSpec& tensor(std::string_view name) const;

  /// Gives `sink` rows of a tensor that is not cut by columns: whole rows, ascending, in runs of
  /// about 1 MiB, in the element type `dtype()`. Bytes are checked against their digests before
  /// they are handed out. Throws UserError naming file, dataset and byte for damage.
  void read_rows(const TensorSpec& tensor, Range rows, const RowSink& sink);
  /// The same for one segment of a column-cut tensor: rows of the segment's columns only.
  void read_segment(const TensorSpec& tensor, int segment, Range rows, const RowSink& sink);

  /// All of `tasks`, by `threads` threads that each read and hand out parts of them into a buffer
  /// from `staging`: sinks are called by several threads at once, for different rows, in no order.
  /// With fences, each thread has two buffers by turns, and the work that sinks ask for is done on
  /// return.
  /// Files are opened first; then, of several damages, the first in the order of tasks is thrown.
  /// Ranks that share one reading receive into buffers of their own.
  void read_all(std::span<const ReadTask> tasks, int threads, const Staging& staging);

  /// From now on the ranks of `peers` share one reading: its first rank reads, the others receive
  /// (see read_shared). All of them must then ask for the same rows and segments, in the same
  /// order. Null: everybody reads. The group must outlive its use.
  void share_with(Group* peers) { peers_ = peers; }

  /// From now on readings end with Cancelled when `stop` says so, which several threads may ask. Of
  /// ranks that share one reading, the first alone asks, and all throw.
  void stop_when(std::function<bool()> stop) { stop_ = std::move(stop); }

  /// Bytes of raw data read so far, by this rank.
  [[nodiscard]] Bytes bytes_read() const { return bytes_read_; }

 private:
  /// A piece of a tensor: which shard, which piece in it.
  struct Location {
    std::size_t shard;
    std::size_t piece;
    int segment;
    Range rows;
  };

  /// What one thread reads in one go.
  struct Part {
    const ShardReader* shard;
    std::size_t piece;
    Range rows;
    std::size_t task;
  };

  /// f(shard, piece, rows) for each piece that has some of the rows.
  template <class F>
  void for_pieces(const TensorSpec& tensor, int segment, Range rows, const F& f);
  /// `segment` is -1 for tensors without.
  void read_pieces(const TensorSpec& tensor, int segment, Range rows, const RowSink& sink);
  const std::vector<Location>& locations_of(const TensorSpec& tensor) const;
  const ShardReader& shard(std::size_t index);
  void apply_generation_config();
  void check_stop() const;
  /// All of `tasks`, from the files.
  void read_files(std::span<const ReadTask> tasks, int threads, const Staging& staging,
                  const TaskSink& sink);

  std::filesystem::path directory_;
  Manifest manifest_;
  ModelConfig config_;
  ShardPlan plan_;
  std::unordered_map<std::string, std::size_t> index_;  ///< of tensors by name
  std::vector<std::vector<Location>> locations_;        ///< by tensor, rows and segments ascending
  std::mutex opening_;
  std::vector<std::unique_ptr<ShardReader>> shards_;  ///< in the manifest's order, null until used
  std::atomic<Bytes> bytes_read_ = 0;
  std::function<bool()> stop_;
  Group* peers_ = nullptr;  ///< that share one reading
};

}  // namespace weft
