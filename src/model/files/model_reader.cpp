#include "model/files/model_reader.h"

#include <algorithm>

#include "base/cancelled.h"
#include "base/error.h"
#include "base/parallel_for.h"
#include "base/progress_counter.h"
#include "io/file.h"
#include "io/json.h"

namespace weft {
namespace {

/// For each thread, so many parts are read ahead of those that the threads are at.
constexpr std::size_t kPartsAhead = 2;

}  // namespace

ModelReader::ModelReader(const std::filesystem::path& directory)
    : directory_(directory),
      manifest_(read_manifest(directory)),
      config_(parse_config(manifest_.config)),
      plan_(config_, manifest_.caps, manifest_.grid),
      locations_(plan_.tensors().size()),
      shards_(manifest_.shards.size()) {
  refuse_unlisted_files(directory_, manifest_);
  for (std::size_t i = 0; i < plan_.tensors().size(); ++i) index_[plan_.tensors()[i].name] = i;
  for (std::size_t shard = 0; shard < manifest_.shards.size(); ++shard) {
    const std::vector<Piece> pieces = plan_.pieces_at(manifest_.shards[shard].place);
    for (std::size_t i = 0; i < pieces.size(); ++i) {
      locations_[pieces[i].tensor].push_back({shard, i, pieces[i].segment, pieces[i].rows});
    }
  }
  apply_generation_config();
}

void ModelReader::apply_generation_config() {
  for (const TokenizerFile& file : manifest_.tokenizer) {
    if (file.name != "generation_config.json") continue;
    const std::filesystem::path path = directory_ / file.name;
    const std::string text = read_text(path, JsonLimits{}.bytes);
    if (digest_of(text) != file.digest) fail_user("{}: damaged", path.string());
    const auto eos = parse_generation_config(parse_json(text, path.string()), config_.vocab);
    if (!eos.empty()) config_.eos = eos;
  }
}

const TensorSpec& ModelReader::tensor(std::string_view name) const {
  const auto found = index_.find(std::string(name));
  require(found != index_.end(), "the model has no tensor {}", name);
  return plan_.tensors()[found->second];
}

const std::vector<ModelReader::Location>& ModelReader::locations_of(
    const TensorSpec& tensor) const {
  const auto found = index_.find(tensor.name);
  require(found != index_.end(), "the model has no tensor {}", tensor.name);
  require(plan_.tensors()[found->second].shape == tensor.shape, "tensor {} has another shape",
          tensor.name);
  return locations_[found->second];
}

const ShardReader& ModelReader::shard(std::size_t index) {
  const std::lock_guard lock(opening_);
  if (!shards_[index]) {
    const ShardFile& file = manifest_.shards[index];
    shards_[index] = std::make_unique<ShardReader>(directory_, file, plan_.pieces_at(file.place),
                                                   plan_.tensors(), manifest_.dtype, [this] {
                                                     count_progress();
                                                     check_stop();
                                                   });
  }
  return *shards_[index];
}

template <class F>
void ModelReader::for_pieces(const TensorSpec& tensor, int segment, Range rows, const F& f) {
  std::int64_t found = 0;
  for (const Location& location : locations_of(tensor)) {
    const Range common{std::max(rows.begin, location.rows.begin),
                       std::min(rows.end, location.rows.end)};
    if (location.segment != segment || common.empty()) continue;
    f(shard(location.shard), location.piece, common);
    found += common.size();
  }
  require(rows.empty() || found == rows.size(), "tensor {}: segment {} has not all rows",
          tensor.name, segment);
}

void ModelReader::read_rows(const TensorSpec& tensor, Range rows, const RowSink& sink) {
  require(!tensor.cut_by_columns(), "tensor {} is stored in segments", tensor.name);
  read_pieces(tensor, -1, rows, sink);
}

void ModelReader::read_segment(const TensorSpec& tensor, int segment, Range rows,
                               const RowSink& sink) {
  require(tensor.cut_by_columns(), "tensor {} is not stored in segments", tensor.name);
  read_pieces(tensor, segment, rows, sink);
}

void ModelReader::read_pieces(const TensorSpec& tensor, int segment, Range rows,
                              const RowSink& sink) {
  require(rows.begin >= 0 && rows.end <= tensor.rows(), "{}: rows {}..{} of {}", tensor.name,
          rows.begin, rows.end, tensor.rows());
  HostMemory staging;
  const ReadTask task{&tensor, segment, rows, sink};
  read_all(std::span(&task, 1), 1, {staging});
}

void ModelReader::check_stop() const {
  if (stop_ && stop_()) throw Cancelled();
}

void ModelReader::read_all(std::span<const ReadTask> tasks, int threads, const Staging& staging) {
  const TaskSink sink = [&](std::size_t task, std::int64_t first, std::span<const std::byte> rows,
                            std::int64_t count) { tasks[task].sink(first, rows, count); };
  if (peers_ == nullptr) return read_files(tasks, threads, staging, sink);
  // What has come is in memory of others, which they use again after a return.
  const TaskSink received = [&](std::size_t task, std::int64_t first,
                                std::span<const std::byte> rows, std::int64_t count) {
    const std::unique_ptr<Fence> fence = staging.make_fence ? staging.make_fence() : nullptr;
    sink(task, first, rows, count);
    if (!fence) return;
    fence->set();
    fence->wait();
  };
  read_shared(
      *peers_, threads, [&](const TaskSink& to) { read_files(tasks, threads, staging, to); },
      peers_->rank() == 0 ? sink : received);
}

void ModelReader::read_files(std::span<const ReadTask> tasks, int threads, const Staging& staging,
                             const TaskSink& sink) {
  std::vector<Part> parts;
  Bytes largest = 0;
  for (std::size_t i = 0; i < tasks.size(); ++i) {
    const ReadTask& task = tasks[i];
    for_pieces(*task.tensor, task.segment, task.rows,
               [&](const ShardReader& shard, std::size_t piece, Range common) {
                 largest = std::max(largest, shard.buffer_bytes(piece));
                 for (const Range part : shard.parts_of(piece, common)) {
                   parts.push_back({&shard, piece, part, i});
                 }
               });
  }
  if (parts.empty()) return;
  const auto lanes = static_cast<int>(std::min<std::size_t>(parts.size(), threads));
  std::vector<DoubleBuffer> buffers;
  buffers.reserve(static_cast<std::size_t>(lanes));
  for (int lane = 0; lane < lanes; ++lane) buffers.emplace_back(staging, largest);
  // Parts are begun in ascending order: those next in turn are read ahead.
  const std::size_t ahead = kPartsAhead * static_cast<std::size_t>(lanes);
  const auto expect = [&](std::size_t i) {
    if (i < parts.size()) parts[i].shard->expect(parts[i].piece, parts[i].rows);
  };
  for (std::size_t i = 0; i < ahead; ++i) expect(i);
  parallel_for(lanes, parts.size(), [&](int lane, std::size_t i) {
    check_stop();
    expect(i + ahead);
    const Part& part = parts[i];
    bytes_read_ +=
        part.shard->read(part.piece, part.rows, buffers[static_cast<std::size_t>(lane)],
                         [&](std::int64_t first, std::span<const std::byte> rows,
                             std::int64_t count) { sink(part.task, first, rows, count); });
  });
  for (DoubleBuffer& of_lane : buffers) of_lane.finish();
}

}  // namespace weft
