// Kernels for what was chosen: answers go where they belong, tokens are kept for the next step and
// found again there. Each runs one thread for an element.
#pragma once

#include <cstdint>

#include "cuda/platform/lane.h"
#include "ops/non_finite.h"
#include "ops/rank_merge.h"
#include "ops/row_sampler.h"

namespace weft::WEFT_PLATFORM {

/// What a kernel with one thread for an element is for.
struct OverElements {
  static constexpr int kThreads = 128;
  std::int64_t count = 0;

  /// The thread's element; some have none.
  WEFT_DEVICE std::int64_t element() const {
    return std::int64_t{block_x()} * threads() + thread();
  }
};

/// Chosen tokens to the places where they are kept.
struct KeepTokens : OverElements {
  const SamplingRequest* rows;  ///< [count]
  const SamplingResult* results;
  std::int32_t* device_tokens;

  WEFT_DEVICE void operator()() const {
    const std::int64_t q = element();
    if (q >= count || rows[q].token_slot < 0) return;
    device_tokens[rows[q].token_slot] = results[q].token;
  }
};

/// What rows tell other ranks: their largest logits.
struct TellCandidates : OverElements {
  const SamplingResult* results;  ///< [count]
  TokenId first;
  RankCandidate* candidates;

  WEFT_DEVICE void operator()() const {
    const std::int64_t q = element();
    if (q >= count) return;
    const bool odd = hostdevice::is_marked(results[q].top);
    candidates[q] = {results[q].largest, hostdevice::marked_if(odd, results[q].token + first)};
  }
};

/// Where the answers of a kernel's rows go: `ResultSlots` as a device reads it.
struct Destinations {
  const std::int32_t* to;
  const std::int32_t* token_slot;
  SamplingResult* results;
  ScoredToken* top;  ///< [rows, width]
  std::int64_t width;
  std::int32_t* device_tokens;  ///< null: no token is kept

  WEFT_DEVICE void put(std::int64_t q, const SamplingResult& choice) const {
    results[to[q]] = choice;
    if (device_tokens != nullptr && token_slot[q] >= 0) device_tokens[token_slot[q]] = choice.token;
  }
};

/// The best of the ranks' candidates.
struct TakeBest : OverElements {
  const RankCandidate* candidates;  ///< [ranks, count]
  int ranks;
  Destinations at;

  WEFT_DEVICE void operator()() const {
    const std::int64_t q = element();
    if (q >= count) return;
    SamplingResult best;
    bool found = false;
    bool odd = false;
    for (int rank = 0; rank < ranks; ++rank) {
      const RankCandidate candidate = candidates[rank * count + q];
      if (candidate.token == hostdevice::kNoToken) continue;
      odd = odd || hostdevice::is_marked(candidate.token);
      if (found && !(candidate.value > best.largest)) continue;
      best.token = hostdevice::unmarked(candidate.token);
      best.largest = candidate.value;
      found = true;
    }
    best.top = hostdevice::marked_if(odd, 0);
    at.put(q, best);
  }
};

/// Answers as they are; what rows have not is undefined here and there.
struct TakeResults : OverElements {
  const SamplingResult* results;  ///< [count]
  const ScoredToken* top;         ///< [count, width]
  Destinations at;

  WEFT_DEVICE void operator()() const {
    const std::int64_t q = element();
    if (q >= count) return;
    at.put(q, results[q]);
    for (std::int64_t i = 0; i < at.width; ++i) {
      at.top[at.to[q] * at.width + i] = top[q * at.width + i];
    }
  }
};

/// Where the rows of tokens on the device stand among those that all ranks looked up.
struct StoreDeviceTokens : OverElements {
  const std::int32_t* device_tokens;
  const std::int32_t* rows;     ///< -1 - the k-th one's place
  const std::int32_t* holders;  ///< [2, ranks]: where each rank's tokens end, where its rows begin
  int ranks;
  std::int32_t* order;  ///< [count]

  WEFT_DEVICE void operator()() const {
    const std::int64_t m = element();
    if (m >= count || order[m] >= 0) return;
    const std::int32_t k = -1 - order[m];
    const std::int32_t token = device_tokens[-1 - rows[k]];
    int holder = 0;
    while (holder < ranks - 1 && token >= holders[holder]) ++holder;
    order[m] = holders[ranks + holder] + k;
  }
};

/// Negative numbers, which name places of tokens on the device, become the tokens' rows of the own
/// table.
struct ResolveDeviceTokens : OverElements {
  const std::int32_t* device_tokens;
  std::int32_t first;  ///< of the own tokens
  std::int32_t end;
  std::int32_t* rows;  ///< [count]

  WEFT_DEVICE void operator()() const {
    const std::int64_t i = element();
    if (i >= count || rows[i] >= 0) return;
    const std::int32_t token = device_tokens[-1 - rows[i]];
    rows[i] = token >= first && token < end ? token - first : 0;
  }
};

}  // namespace weft::WEFT_PLATFORM
