// DeviceSampler, the choosing: one upload, a few kernels.
#include <algorithm>

#include "cuda/kernels/sampling.h"
#include "cuda/ops/device_ops.h"
#include "cuda/ops/sampler_room.h"
#include "cuda/ops/views.h"
#include "ops/sampling_query.h"

namespace weft::WEFT_PLATFORM {
namespace {

/// Which kernels a query needs.
struct Needs {
  explicit Needs(const SamplingRequests& query) : edits(!query.edits.empty()) {
    for (const SamplingRequest& request : query.rows) {
      scores = scores || request.top >= 0;
      draws = draws || request.kind == RowKind::whole;
      samples = samples || (request.kind != RowKind::known && request.kind != RowKind::greedy);
    }
  }
  bool edits;
  bool scores = false;
  bool draws = false;
  bool samples = false;
};

void append(std::vector<std::byte>& message, std::span<const std::byte> bytes) {
  message.insert(message.end(), bytes.begin(), bytes.end());
}

}  // namespace

SamplerLimits DeviceSampler::limits() const {
  SamplerLimits limits;
  limits.candidates = kMostKeys;
  limits.top = kMostTop;
  limits.edits = kMostEdits;
  limits.listed = kMostListed;
  // A weight and a sum for each block in shared memory.
  const std::size_t blocks = (runtime_.shared_bytes() - draw_bytes(0)) / (2 * sizeof(double));
  limits.columns = (static_cast<std::int64_t>(blocks) + kMostKeys) * 256;
  return limits;
}

DeviceResults DeviceSampler::place(const Tensor& logits, const SamplingRequests& query,
                                   std::size_t top_width, std::span<std::byte> room) {
  const auto count = static_cast<std::int64_t>(query.rows.size());
  require(count > 0, "no rows to choose from");
  check_sampling_requests(logits, query, limits(), query.rows.size(),
                          query.rows.size() * top_width);
  const std::int64_t columns = logits.row_elements();
  const std::int64_t blocks = ceil_div(columns, 256);
  const SamplerRoom at = SamplerRoom::of(std::max(count, logits.rows()), columns);
  require(at.bytes <= room.size(), "choose: {} rows of {} logits need {} bytes, there are {}",
          count, columns, at.bytes, room.size());
  const auto place = [&](Bytes offset) { return room.data() + offset; };

  message_.clear();
  append(message_, std::as_bytes(query.rows));
  append(message_, std::as_bytes(query.edits));
  append(message_, std::as_bytes(query.lists));
  runtime_.copy_in(message_.data(), place(at.rows), message_.size());

  const Tensor maxima(place(at.maxima), DType::f32, {logits.rows(), blocks});
  const Tensor maxima_at(place(at.columns), DType::i32, {logits.rows(), blocks});
  SamplingTask task{};
  task.logits = rows_of<float>(logits);
  task.maxima = rows_of<const float>(maxima);
  task.columns = rows_of<const std::int32_t>(maxima_at);
  task.weight_sums = {reinterpret_cast<float*>(place(at.weight_sums)), blocks};
  task.rows = reinterpret_cast<const SamplingRequest*>(place(at.rows));
  task.edits = reinterpret_cast<const LogitEdit*>(task.rows + count);
  task.lists = reinterpret_cast<const std::int32_t*>(task.edits + query.edits.size());
  task.raw = reinterpret_cast<float*>(place(at.raw));
  task.states = reinterpret_cast<SamplingRow*>(place(at.states));
  task.results = reinterpret_cast<SamplingResult*>(place(at.results));
  task.top = reinterpret_cast<ScoredToken*>(task.results + count);
  task.top_width = static_cast<std::int64_t>(top_width);
  task.vocab = columns;
  task.blocks = blocks;

  const Needs needs(query);
  const Grid rows{count, 1, 1};
  const Grid all_blocks{ceil_div(blocks, RowWeightSums::kThreads / 32), count, 1};
  const std::size_t shared = draw_bytes(blocks);
  const auto look = [&](bool raw) {
    ops_.block_maxima(logits, maxima, maxima_at);
    runtime_.launch("best_of_row", rows, BestOfRow::kThreads, 0, BestOfRow{task, raw});
  };
  const auto weigh = [&](bool scored) {
    runtime_.launch("row_masses", all_blocks, RowWeightSums::kThreads, 0,
                    RowWeightSums{task, scored});
  };
  look(true);
  if (needs.scores) {
    weigh(true);
    runtime_.launch("score_row", rows, ScoreRow::kThreads, shared, ScoreRow{task});
  }
  if (needs.edits) {
    runtime_.launch("edit_logits", rows, EditLogits::kThreads, 0, EditLogits{task});
    look(false);
  }
  if (needs.draws) weigh(false);
  if (needs.samples) {
    runtime_.launch("choose_token", rows, ChooseToken::kThreads, shared, ChooseToken{task});
  }
  if (needs.edits || needs.scores) {
    runtime_.launch("finish_row", rows, FinishRow::kThreads, 0, FinishRow{task});
  }
  return {{place(at.results), query.rows.size() * sizeof(SamplingResult)},
          {place(at.results) + query.rows.size() * sizeof(SamplingResult),
           query.rows.size() * top_width * sizeof(ScoredToken)}};
}

}  // namespace weft::WEFT_PLATFORM
