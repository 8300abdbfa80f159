#include "model/sampled_rows.h"

#include <algorithm>
#include <cstring>
#include <numeric>
#include <utility>

#include "base/error.h"
#include "model/rank_candidates.h"

namespace weft {
namespace {

/// Rows that are dealt out at a time.
constexpr std::int64_t kDealt = 64;

struct Sizes {
  Bytes room = 0;
  Bytes sent = 0;
  Bytes received = 0;  ///< and joined
  Bytes index = 0;
};

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

SampledRows::SampledRows(std::vector<Range> columns_of, std::int64_t max_rows, Ops& ops,
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
}

Bytes SampledRows::bytes(std::span<const Range> columns_of, int rank, std::int64_t max_rows,
                         const OpSizes& ops) {
  const Sizes sizes = sizes_of(columns_of, rank, max_rows, ops);
  return sizes.room + sizes.sent + 2 * sizes.received + sizes.index;
}

StartedRows SampledRows::start(const Tensor& logits, const RowQuery& query, const Tensor& kept) {
  require(group_.size() == 1, "rows of {} ranks are chosen at once", group_.size());
  require(logits.rows() <= max_rows_, "{} rows to choose from, room for {}", logits.rows(),
          max_rows_);
  StartedRows started;
  started.rows = query.rows.size();
  started.width = widest_top(query);
  started.ticket =
      sampler_.start(logits, query, started.width, {room_.data(), room_.bytes()}, kept);
  return started;
}

RowAnswers SampledRows::finish(const StartedRows& started) {
  RowAnswers answers;
  answers.width = started.width;
  answers.choices.resize(started.rows);
  answers.top.resize(started.rows * started.width);
  sampler_.finish(started.ticket, answers.choices, answers.top);
  return answers;
}

RowAnswers SampledRows::choose(const Tensor& logits, const RowQuery& query) {
  require(logits.rows() <= max_rows_, "{} rows to choose from, room for {}", logits.rows(),
          max_rows_);
  RowAnswers answers;
  answers.width = widest_top(query);
  answers.choices.resize(query.rows.size());
  answers.top.resize(query.rows.size() * answers.width);
  if (group_.size() == 1) {
    sampler_.choose(logits, query, {room_.data(), room_.bytes()}, answers.choices, answers.top);
    return answers;
  }
  std::vector<std::size_t> greedy;
  std::vector<std::size_t> dealt;
  for (std::size_t i = 0; i < query.rows.size(); ++i) {
    const RowAsked& asked = query.rows[i];
    (asked.kind == RowKind::greedy && asked.top < 0 ? greedy : dealt).push_back(i);
  }
  if (!greedy.empty()) choose_candidates(logits, query, greedy, answers);
  for (std::size_t first = 0; first < dealt.size(); first += kDealt) {
    const std::size_t n = std::min<std::size_t>(kDealt, dealt.size() - first);
    deal(logits, query, std::span(dealt).subspan(first, n), answers);
  }
  return answers;
}

void SampledRows::choose_candidates(const Tensor& logits, const RowQuery& query,
                                    std::span<const std::size_t> which, RowAnswers& answers) {
  std::vector<RankCandidate> mine(which.size());
  if (!own().empty()) {
    const OwnedRowQuery part = part_of(query, which, own());
    std::vector<RowChoice> choices(which.size());
    sampler_.choose(logits, part.view(), {room_.data(), room_.bytes()}, choices, {});
    for (std::size_t i = 0; i < mine.size(); ++i) {
      mine[i] = {choices[i].largest, choices[i].token + static_cast<TokenId>(own().begin)};
    }
  }
  const std::vector<TokenId> tokens = best_of_ranks(mine, columns_of_, group_);
  for (std::size_t i = 0; i < which.size(); ++i) answers.choices[which[i]].token = tokens[i];
}

Range SampledRows::share(std::size_t rows, int rank) const {
  const auto count = static_cast<std::int64_t>(rows);
  return {count * rank / group_.size(), count * (rank + 1) / group_.size()};
}

Tensor SampledRows::exchange(const Tensor& logits, const RowQuery& query,
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

void SampledRows::deal(const Tensor& logits, const RowQuery& query,
                       std::span<const std::size_t> which, RowAnswers& answers) {
  const Tensor whole = exchange(logits, query, which);
  const Range own_share = share(which.size(), group_.rank());
  const auto rows = static_cast<std::size_t>(own_share.size());
  const std::size_t width = answers.width;
  OwnedRowQuery part =
      part_of(query, which.subspan(static_cast<std::size_t>(own_share.begin), rows), {0, vocab()});
  for (std::size_t i = 0; i < rows; ++i) part.rows[i].row = static_cast<std::int32_t>(i);
  std::vector<RowChoice> choices(rows);
  std::vector<ScoredToken> top(rows * width);
  sampler_.choose(whole, part.view(), {room_.data(), room_.bytes()}, choices, top);

  // A row's message: its choice, then its likeliest tokens.
  const std::size_t row_bytes = sizeof(RowChoice) + width * sizeof(ScoredToken);
  std::vector<std::byte> mine(rows * row_bytes);
  for (std::size_t i = 0; i < rows; ++i) {
    std::byte* const to = mine.data() + i * row_bytes;
    std::memcpy(to, &choices[i], sizeof(RowChoice));
    if (width == 0) continue;
    std::memcpy(to + sizeof(RowChoice), &top[i * width], width * sizeof(ScoredToken));
  }
  std::vector<Bytes> counts;
  for (int rank = 0; rank < group_.size(); ++rank) {
    counts.push_back(static_cast<Bytes>(share(which.size(), rank).size()) * row_bytes);
  }
  std::vector<std::byte> all(which.size() * row_bytes);
  group_.all_gather(mine, all, counts);
  for (std::size_t i = 0; i < which.size(); ++i) {
    const std::byte* const from = all.data() + i * row_bytes;
    std::memcpy(&answers.choices[which[i]], from, sizeof(RowChoice));
    if (width == 0) continue;
    std::memcpy(&answers.top[which[i] * width], from + sizeof(RowChoice),
                width * sizeof(ScoredToken));
  }
}

}  // namespace weft
