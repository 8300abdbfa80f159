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
Destinations destinations(const ResultSlots& places, std::int64_t count) {
  const std::size_t rows = places.among.results.size() / sizeof(SamplingResult);
  require(places.to.elements() == count && places.token_slot.elements() == count,
          "answers of {} rows have {} places", count, places.to.elements());
  Destinations at{};
  at.to = numbers<const std::int32_t>(places.to);
  at.token_slot = numbers<const std::int32_t>(places.token_slot);
  at.results = elements<SamplingResult>(places.among.results);
  at.top = elements<ScoredToken>(places.among.top);
  at.width = static_cast<std::int64_t>(places.among.top.size() / (rows * sizeof(ScoredToken)));
  if (places.device_tokens.defined())
    at.device_tokens = numbers<std::int32_t>(places.device_tokens);
  return at;
}

}  // namespace

DeviceSampler::~DeviceSampler() {
  try {
    for (const PendingResults& pending : pending_) {
      if (pending.under_way) runtime_.wait_for(pending.there);
    }
  } catch (const Error&) {
    // The device has failed; whoever waits for results says so.
  }
}

SamplingTicket DeviceSampler::free_results(Bytes bytes) {
  SamplingTicket ticket = 0;
  while (ticket < pending_.size() && pending_[ticket].under_way) ++ticket;
  if (ticket == pending_.size()) pending_.emplace_back();
  PendingResults& pending = pending_[ticket];
  if (pending.host.bytes() < bytes) pending.host = Buffer(runtime_.host_memory(), 2 * bytes);
  pending.bytes = bytes;
  return ticket;
}

void DeviceSampler::finish(SamplingTicket ticket, std::span<SamplingResult> results,
                           std::span<ScoredToken> top) {
  require(ticket < pending_.size() && pending_[ticket].under_way, "no rows are chosen as {}",
          ticket);
  PendingResults& pending = pending_[ticket];
  require(pending.bytes == results.size_bytes() + top.size_bytes(),
          "{} choices and {} likeliest tokens of {} bytes", results.size(), top.size(),
          pending.bytes);
  runtime_.wait_for(pending.there);
  pending.under_way = false;
  std::memcpy(results.data(), pending.host.data(), results.size_bytes());
  if (top.empty()) return;
  std::memcpy(top.data(), pending.host.data() + results.size_bytes(), top.size_bytes());
}

SamplingTicket DeviceSampler::start(const Tensor& logits, const SamplingRequests& query,
                                    std::size_t top_width, std::span<std::byte> room,
                                    const Tensor& device_tokens) {
  for (const SamplingRequest& request : query.rows) {
    require(!device_tokens.defined() || request.token_slot < device_tokens.elements(),
            "place {} of {} kept tokens", request.token_slot, device_tokens.elements());
  }
  const DeviceResults placed = place(logits, query, top_width, room);
  const auto count = static_cast<std::int64_t>(query.rows.size());
  if (device_tokens.defined()) {
    const SamplerRoom at = SamplerRoom::of(std::max(count, logits.rows()), logits.row_elements());
    runtime_.launch("keep_tokens", grid_over(count), OverElements::kThreads, 0,
                    KeepTokens{{count},
                               reinterpret_cast<const SamplingRequest*>(room.data() + at.rows),
                               elements<const SamplingResult>(placed.results),
                               numbers<std::int32_t>(device_tokens)});
  }
  return hand_over({placed.results.data(), placed.results.size() + placed.top.size()});
}

void DeviceSampler::tell_candidates(std::span<const std::byte> results, TokenId first,
                                    std::span<std::byte> candidates) {
  const auto count = static_cast<std::int64_t>(results.size() / sizeof(SamplingResult));
  require(candidates.size() == static_cast<std::size_t>(count) * sizeof(RankCandidate),
          "{} bytes for {} candidates", candidates.size(), count);
  runtime_.launch("tell_candidates", grid_over(count), OverElements::kThreads, 0,
                  TellCandidates{{count},
                                 elements<const SamplingResult>(results),
                                 first,
                                 elements<RankCandidate>(candidates)});
}

void DeviceSampler::take_best(std::span<const std::byte> candidates, int ranks,
                              const ResultSlots& places) {
  const std::int64_t count = places.to.elements();
  require(candidates.size() == static_cast<std::size_t>(count * ranks) * sizeof(RankCandidate),
          "{} bytes of {} ranks' candidates for {} rows", candidates.size(), ranks, count);
  runtime_.launch(
      "take_best", grid_over(count), OverElements::kThreads, 0,
      TakeBest{
          {count}, elements<const RankCandidate>(candidates), ranks, destinations(places, count)});
}

void DeviceSampler::take(const DeviceResults& pending, const ResultSlots& places) {
  const auto count = static_cast<std::int64_t>(pending.results.size() / sizeof(SamplingResult));
  const Destinations at = destinations(places, count);
  require(pending.top.size() == static_cast<std::size_t>(count * at.width) * sizeof(ScoredToken),
          "{} bytes of likeliest tokens of {} rows", pending.top.size(), count);
  runtime_.launch("take_answers", grid_over(count), OverElements::kThreads, 0,
                  TakeResults{{count},
                              elements<const SamplingResult>(pending.results),
                              elements<const ScoredToken>(pending.top),
                              at});
}

SamplingTicket DeviceSampler::hand_over(std::span<const std::byte> bytes) {
  const SamplingTicket ticket = free_results(bytes.size());
  PendingResults& pending = pending_[ticket];
  runtime_.start_copy_out(bytes.data(), pending.host.data(), pending.bytes);
  runtime_.set(pending.there);
  pending.under_way = true;
  return ticket;
}

void DeviceSampler::resolve_device_tokens(const Tensor& device_tokens,
                                          const DeviceTokenLookup& lookup) {
  const auto* const tokens = numbers<const std::int32_t>(device_tokens);
  auto* const rows = numbers<std::int32_t>(lookup.rows);
  if (lookup.order.defined()) {  // before the rows say no more which tokens they are
    const std::int64_t count = lookup.order.elements();
    runtime_.launch("place_kept", grid_over(count), OverElements::kThreads, 0,
                    StoreDeviceTokens{{count},
                                      tokens,
                                      rows,
                                      numbers<const std::int32_t>(lookup.holders),
                                      static_cast<int>(lookup.holders.elements() / 2),
                                      numbers<std::int32_t>(lookup.order)});
  }
  const std::int64_t count = lookup.rows.elements();
  runtime_.launch("put_kept", grid_over(count), OverElements::kThreads, 0,
                  ResolveDeviceTokens{{count},
                                      tokens,
                                      static_cast<std::int32_t>(lookup.own.begin),
                                      static_cast<std::int32_t>(lookup.own.end),
                                      rows});
}

}  // namespace weft::WEFT_PLATFORM
