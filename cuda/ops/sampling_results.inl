// DeviceSampler, what was chosen: between ranks, for the next step, and on its way to the host.
#include <algorithm>
#include <cstring>

#include "cuda/kernels/chosen.h"
#include "cuda/ops/device_ops.h"
#include "cuda/ops/sampler_room.h"
#include "ops/sampling_query.h"

namespace weft::WEFT_PLATFORM {
namespace {

template <class T>
T* numbers(const Tensor& tensor) {
  require(tensor.dtype() == DType::i32 && tensor.contiguous(),
          "what was chosen is told by arrays of i32");
  return tensor.as<T>();
}

template <class T>
T* elements(std::span<const std::byte> bytes) {
  return const_cast<T*>(reinterpret_cast<const T*>(bytes.data()));
}

Grid grid_over(std::int64_t count) { return {ceil_div(count, OverElements::kThreads), 1, 1}; }

/// For `count` rows.
Destinations destinations(const AnswerPlaces& places, std::int64_t count) {
  const std::size_t rows = places.among.choices.size() / sizeof(RowChoice);
  require(places.to.elements() == count && places.keep.elements() == count,
          "answers of {} rows have {} places", count, places.to.elements());
  Destinations at{};
  at.to = numbers<const std::int32_t>(places.to);
  at.keep = numbers<const std::int32_t>(places.keep);
  at.choices = elements<RowChoice>(places.among.choices);
  at.top = elements<ScoredToken>(places.among.top);
  at.width = static_cast<std::int64_t>(places.among.top.size() / (rows * sizeof(ScoredToken)));
  if (places.kept.defined()) at.kept = numbers<std::int32_t>(places.kept);
  return at;
}

}  // namespace

DeviceSampler::~DeviceSampler() {
  try {
    for (const Answers& answers : answers_) {
      if (answers.under_way) runtime_.wait_for(answers.there);
    }
  } catch (const Error&) {
    // The device has failed; whoever waits for results says so.
  }
}

SamplingTicket DeviceSampler::free_answers(Bytes bytes) {
  SamplingTicket ticket = 0;
  while (ticket < answers_.size() && answers_[ticket].under_way) ++ticket;
  if (ticket == answers_.size()) answers_.emplace_back();
  Answers& answers = answers_[ticket];
  if (answers.host.bytes() < bytes) answers.host = Buffer(runtime_.host_memory(), 2 * bytes);
  answers.bytes = bytes;
  return ticket;
}

void DeviceSampler::finish(SamplingTicket ticket, std::span<RowChoice> choices,
                           std::span<ScoredToken> top) {
  require(ticket < answers_.size() && answers_[ticket].under_way, "no rows are chosen as {}",
          ticket);
  Answers& answers = answers_[ticket];
  require(answers.bytes == choices.size_bytes() + top.size_bytes(),
          "{} choices and {} likeliest tokens of {} bytes", choices.size(), top.size(),
          answers.bytes);
  runtime_.wait_for(answers.there);
  answers.under_way = false;
  std::memcpy(choices.data(), answers.host.data(), choices.size_bytes());
  if (top.empty()) return;
  std::memcpy(top.data(), answers.host.data() + choices.size_bytes(), top.size_bytes());
}

SamplingTicket DeviceSampler::start(const Tensor& logits, const RowQuery& query,
                                    std::size_t top_width, std::span<std::byte> room,
                                    const Tensor& kept) {
  for (const RowAsked& asked : query.rows) {
    require(!kept.defined() || asked.keep < kept.elements(), "place {} of {} kept tokens",
            asked.keep, kept.elements());
  }
  const PlacedAnswers placed = place(logits, query, top_width, room);
  const auto count = static_cast<std::int64_t>(query.rows.size());
  if (kept.defined()) {
    const SamplerRoom at = SamplerRoom::of(std::max(count, logits.rows()), logits.row_elements());
    runtime_.launch("keep_tokens", grid_over(count), OverElements::kThreads, 0,
                    KeepTokens{{count},
                               reinterpret_cast<const RowAsked*>(room.data() + at.rows),
                               elements<const RowChoice>(placed.choices),
                               numbers<std::int32_t>(kept)});
  }
  return hand_over({placed.choices.data(), placed.choices.size() + placed.top.size()});
}

void DeviceSampler::tell_candidates(std::span<const std::byte> choices, TokenId first,
                                    std::span<std::byte> candidates) {
  const auto count = static_cast<std::int64_t>(choices.size() / sizeof(RowChoice));
  require(candidates.size() == static_cast<std::size_t>(count) * sizeof(RankCandidate),
          "{} bytes for {} candidates", candidates.size(), count);
  runtime_.launch(
      "tell_candidates", grid_over(count), OverElements::kThreads, 0,
      TellCandidates{
          {count}, elements<const RowChoice>(choices), first, elements<RankCandidate>(candidates)});
}

void DeviceSampler::take_best(std::span<const std::byte> candidates, int ranks,
                              const AnswerPlaces& places) {
  const std::int64_t count = places.to.elements();
  require(candidates.size() == static_cast<std::size_t>(count * ranks) * sizeof(RankCandidate),
          "{} bytes of {} ranks' candidates for {} rows", candidates.size(), ranks, count);
  runtime_.launch(
      "take_best", grid_over(count), OverElements::kThreads, 0,
      TakeBest{
          {count}, elements<const RankCandidate>(candidates), ranks, destinations(places, count)});
}

void DeviceSampler::take(const PlacedAnswers& answers, const AnswerPlaces& places) {
  const auto count = static_cast<std::int64_t>(answers.choices.size() / sizeof(RowChoice));
  const Destinations at = destinations(places, count);
  require(answers.top.size() == static_cast<std::size_t>(count * at.width) * sizeof(ScoredToken),
          "{} bytes of likeliest tokens of {} rows", answers.top.size(), count);
  runtime_.launch("take_answers", grid_over(count), OverElements::kThreads, 0,
                  TakeAnswers{{count},
                              elements<const RowChoice>(answers.choices),
                              elements<const ScoredToken>(answers.top),
                              at});
}

SamplingTicket DeviceSampler::hand_over(std::span<const std::byte> bytes) {
  const SamplingTicket ticket = free_answers(bytes.size());
  Answers& answers = answers_[ticket];
  runtime_.start_copy_out(bytes.data(), answers.host.data(), answers.bytes);
  runtime_.set(answers.there);
  answers.under_way = true;
  return ticket;
}

void DeviceSampler::put_kept(const Tensor& kept, const KeptLookup& lookup) {
  const auto* const tokens = numbers<const std::int32_t>(kept);
  auto* const rows = numbers<std::int32_t>(lookup.rows);
  if (lookup.order.defined()) {  // before the rows say no more which tokens they are
    const std::int64_t count = lookup.order.elements();
    runtime_.launch("place_kept", grid_over(count), OverElements::kThreads, 0,
                    PlaceKept{{count},
                              tokens,
                              rows,
                              numbers<const std::int32_t>(lookup.holders),
                              static_cast<int>(lookup.holders.elements() / 2),
                              numbers<std::int32_t>(lookup.order)});
  }
  const std::int64_t count = lookup.rows.elements();
  runtime_.launch("put_kept", grid_over(count), OverElements::kThreads, 0,
                  PutKept{{count},
                          tokens,
                          static_cast<std::int32_t>(lookup.own.begin),
                          static_cast<std::int32_t>(lookup.own.end),
                          rows});
}

}  // namespace weft::WEFT_PLATFORM
