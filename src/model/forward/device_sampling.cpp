#include "model/forward/device_sampling.h"

#include <algorithm>
#include <numeric>
#include <utility>

#include "base/error.h"
#include "ops/non_finite.h"
#include "ops/op_sizes.h"
#include "ops/ops.h"

namespace weft {
namespace {

/// Rows that are dealt out at a time.
constexpr std::int64_t kDealt = 64;

struct Sizes {
  Bytes room = 0;
  Bytes sent = 0;
  Bytes received = 0;  ///< and joined
  Bytes index = 0;
  Bytes candidates = 0;
  Bytes gathered = 0;
  Bytes results = 0;
  Bytes places = 0;

  [[nodiscard]] Bytes all() const {
    return room + sent + 2 * received + index + candidates + gathered + results + places;
  }
};

/// Answers of so many rows.
Bytes result_bytes(std::int64_t rows) {
  return static_cast<Bytes>(rows) * (sizeof(SamplingResult) + kMostLikeliest * sizeof(ScoredToken));
}

Sizes sizes_of(std::span<const Range> columns_of, int rank, std::int64_t max_rows,
               const OpSizes& ops) {
  const std::int64_t vocab = columns_of.back().end;
  const auto ranks = static_cast<std::int64_t>(columns_of.size());
  const std::int64_t own = columns_of[static_cast<std::size_t>(rank)].size();
  Sizes sizes;
  sizes.room = ops.sampling_bytes(max_rows, own);
  if (ranks == 1 || ops.sampling_bytes(1, vocab) == 0) return sizes;
  const std::int64_t dealt = std::min(max_rows, kDealt);
  const std::int64_t mine = ceil_div(dealt, ranks);
  sizes.room = std::max(sizes.room, ops.sampling_bytes(mine, vocab));
  sizes.sent = static_cast<Bytes>(dealt * own) * sizeof(float);
  sizes.received = static_cast<Bytes>(mine * vocab) * sizeof(float);
  sizes.index = static_cast<Bytes>(dealt) * sizeof(std::int32_t);
  sizes.candidates = static_cast<Bytes>(max_rows) * sizeof(RankCandidate);
  sizes.gathered = std::max(static_cast<Bytes>(ranks) * sizes.candidates, result_bytes(dealt));
  sizes.results = result_bytes(max_rows);
  sizes.places = 2 * static_cast<Bytes>(max_rows) * sizeof(std::int32_t);
  return sizes;
}

RowSampler& sampler_of(Ops& ops) {
  require(ops.sampler() != nullptr, "these operators choose no tokens");
  return *ops.sampler();
}

Bytes float_bytes(std::int64_t rows, std::int64_t columns) {
  return static_cast<Bytes>(rows * columns) * sizeof(float);
}

}  // namespace

DeviceSampling::DeviceSampling(std::vector<Range> columns_of, std::int64_t max_rows, Ops& ops,
                               Group& group)
    : columns_of_(std::move(columns_of)),
      max_rows_(max_rows),
      ops_(ops),
      group_(group),
      sampler_(sampler_of(ops)) {
  const Sizes sizes = sizes_of(columns_of_, group.rank(), max_rows, ops);
  room_ = Buffer(ops.memory(), sizes.room);
  sent_ = Buffer(ops.memory(), sizes.sent);
  received_ = Buffer(ops.memory(), sizes.received);
  joined_ = Buffer(ops.memory(), sizes.received);
  index_ = Buffer(ops.memory(), sizes.index);
  candidates_ = Buffer(ops.memory(), sizes.candidates);
  gathered_ = Buffer(ops.memory(), sizes.gathered);
  results_ = Buffer(ops.memory(), sizes.results);
  places_ = Buffer(ops.memory(), sizes.places);
}

Bytes DeviceSampling::bytes(std::span<const Range> columns_of, int rank, std::int64_t max_rows,
                            const OpSizes& ops) {
  return sizes_of(columns_of, rank, max_rows, ops).all();
}

StartedRows DeviceSampling::start(const Tensor& logits, const SamplingRequests& query,
                                  const Tensor& device_tokens) {
  require(logits.rows() <= max_rows_, "{} rows to choose from, room for {}", logits.rows(),
          max_rows_);
  StartedRows started;
  started.rows = query.rows.size();
  started.width = widest_top(query);
  if (group_.size() == 1) {
    started.ticket =
        sampler_.start(logits, query, started.width, {room_.data(), room_.bytes()}, device_tokens);
    return started;
  }
  const Bytes results = started.rows * sizeof(SamplingResult);
  const Bytes top = started.rows * started.width * sizeof(ScoredToken);
  require(results + top <= results_.bytes(), "{} rows with {} likeliest tokens have no room",
          started.rows, started.width);
  ResultSlots places;
  places.among = {{results_.data(), results}, {results_.data() + results, top}};
  places.device_tokens = device_tokens;
  std::vector<std::size_t> greedy;
  std::vector<std::size_t> dealt;
  for (std::size_t i = 0; i < query.rows.size(); ++i) {
    const SamplingRequest& request = query.rows[i];
    (request.kind == RowKind::greedy && request.top < 0 ? greedy : dealt).push_back(i);
  }
  if (!greedy.empty()) sample_candidates(logits, query, greedy, places);
  for (std::size_t first = 0; first < dealt.size(); first += kDealt) {
    const std::size_t n = std::min<std::size_t>(kDealt, dealt.size() - first);
    deal(logits, query, std::span(dealt).subspan(first, n), started.width, places);
  }
  started.ticket = sampler_.merge().hand_over({results_.data(), results + top});
  return started;
}

RowResults DeviceSampling::finish(const StartedRows& started) {
  RowResults results;
  results.width = started.width;
  results.results.resize(started.rows);
  results.top.resize(started.rows * started.width);
  sampler_.finish(started.ticket, results.results, results.top);
  for (SamplingResult& choice : results.results) {
    results.finite.push_back(!hostdevice::is_marked(choice.top));
    choice.top = hostdevice::unmarked(choice.top);
  }
  return results;
}

RowResults DeviceSampling::sample(const Tensor& logits, const SamplingRequests& query) {
  if (query.rows.empty()) return {};
  return finish(start(logits, query, {}));
}

void DeviceSampling::set_places(const SamplingRequests& query, std::span<const std::size_t> which,
                                ResultSlots& places) {
  std::vector<std::int32_t> numbers;
  for (const std::size_t i : which) numbers.push_back(static_cast<std::int32_t>(i));
  for (const std::size_t i : which) {
    const std::int32_t token_slot = query.rows[i].token_slot;
    require(!places.device_tokens.defined() || token_slot < places.device_tokens.elements(),
            "place {} of {} kept tokens", token_slot, places.device_tokens.elements());
    numbers.push_back(token_slot);
  }
  const auto count = static_cast<std::int64_t>(which.size());
  const Tensor both = places_.tensor(DType::i32, {2 * count});
  ops_.upload(std::as_bytes(std::span(numbers)), both);
  places.to = both.slice(0, count);
  places.token_slot = both.slice(count, 2 * count);
}

void DeviceSampling::sample_candidates(const Tensor& logits, const SamplingRequests& query,
                                       std::span<const std::size_t> which, ResultSlots places) {
  const Bytes bytes = which.size() * sizeof(RankCandidate);
  const std::span<std::byte> mine(candidates_.data(), bytes);
  if (own().empty()) {
    const std::vector<RankCandidate> none(which.size(), {0, hostdevice::kNoToken});
    ops_.upload(std::as_bytes(std::span(none)),
                candidates_.tensor(DType::i32, {2 * static_cast<std::int64_t>(which.size())}));
  } else {
    const OwnedSamplingRequests part = part_of(query, which, own());
    const DeviceResults placed =
        sampler_.merge().place(logits, part.view(), 0, {room_.data(), room_.bytes()});
    sampler_.merge().tell_candidates(placed.results, static_cast<TokenId>(own().begin), mine);
  }
  const std::span<std::byte> all(gathered_.data(), bytes * columns_of_.size());
  group_.all_gather(mine, all, equal_counts(group_, bytes));
  set_places(query, which, places);
  sampler_.merge().take_best(all, group_.size(), places);
}

Range DeviceSampling::share(std::size_t rows, int rank) const {
  const auto count = static_cast<std::int64_t>(rows);
  return {count * rank / group_.size(), count * (rank + 1) / group_.size()};
}

Tensor DeviceSampling::exchange(const Tensor& logits, const SamplingRequests& query,
                                std::span<const std::size_t> which) {
  const auto count = static_cast<std::int64_t>(which.size());
  const std::int64_t mine = share(which.size(), group_.rank()).size();
  if (!own().empty()) {
    std::vector<std::int32_t> rows;
    for (const std::size_t i : which) rows.push_back(query.rows[i].row);
    const Tensor index = index_.tensor(DType::i32, {count});
    ops_.upload(std::as_bytes(std::span(rows)), index);
    ops_.gather_rows(logits, index, sent_.tensor(DType::f32, {count, own().size()}));
  }
  std::vector<Bytes> to;
  std::vector<Bytes> from;
  for (int rank = 0; rank < group_.size(); ++rank) {
    to.push_back(float_bytes(share(which.size(), rank).size(), own().size()));
    from.push_back(float_bytes(mine, columns_of_[static_cast<std::size_t>(rank)].size()));
  }
  group_.all_to_all({sent_.data(), float_bytes(count, own().size())}, to,
                    {received_.data(), float_bytes(mine, vocab())}, from);
  const Tensor whole = joined_.tensor(DType::f32, {mine, vocab()});
  if (mine == 0) return whole;
  std::vector<std::int32_t> rows(static_cast<std::size_t>(mine));
  std::iota(rows.begin(), rows.end(), 0);
  const Tensor index = index_.tensor(DType::i32, {mine});
  ops_.upload(std::as_bytes(std::span(rows)), index);
  std::byte* piece = received_.data();
  for (std::size_t rank = 0; rank < from.size(); ++rank) {
    const Range columns = columns_of_[rank];
    if (columns.empty()) continue;
    ops_.gather_rows(Tensor(piece, DType::f32, {mine, columns.size()}), index,
                     whole.columns(columns.begin, columns.end));
    piece += from[rank];
  }
  return whole;
}

void DeviceSampling::deal(const Tensor& logits, const SamplingRequests& query,
                          std::span<const std::size_t> which, std::size_t width,
                          ResultSlots places) {
  const Tensor whole = exchange(logits, query, which);
  const Range own_share = share(which.size(), group_.rank());
  const auto rows = static_cast<std::size_t>(own_share.size());
  DeviceResults mine;
  if (rows > 0) {
    OwnedSamplingRequests part = part_of(
        query, which.subspan(static_cast<std::size_t>(own_share.begin), rows), {0, vocab()});
    for (std::size_t i = 0; i < rows; ++i) part.rows[i].row = static_cast<std::int32_t>(i);
    mine = sampler_.merge().place(whole, part.view(), width, {room_.data(), room_.bytes()});
  }
  std::byte* to = gathered_.data();
  const auto gather = [&](std::span<const std::byte> results, Bytes row_bytes) {
    std::vector<Bytes> counts;
    for (int rank = 0; rank < group_.size(); ++rank) {
      counts.push_back(static_cast<Bytes>(share(which.size(), rank).size()) * row_bytes);
    }
    const std::span<std::byte> all(to, which.size() * row_bytes);
    if (row_bytes > 0) group_.all_gather(results, all, counts);
    to += all.size();
    return all;
  };
  DeviceResults all;
  all.results = gather(mine.results, sizeof(SamplingResult));
  all.top = gather(mine.top, width * sizeof(ScoredToken));
  set_places(query, which, places);
  sampler_.merge().take(all, places);
}

}  // namespace weft
