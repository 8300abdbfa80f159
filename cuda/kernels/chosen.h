// Kernels for what was chosen: answers go where they belong, tokens are kept for the next step and
// found again there. Each runs one thread for an element.
#pragma once

#include <cstdint>

#include "cuda/platform/lane.h"
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
  const RowAsked* rows;  ///< [count]
  const RowChoice* choices;
  std::int32_t* kept;

  WEFT_DEVICE void operator()() const {
    const std::int64_t q = element();
    if (q >= count || rows[q].keep < 0) return;
    kept[rows[q].keep] = choices[q].token;
  }
};

/// What rows tell other ranks: their largest logits.
struct TellCandidates : OverElements {
  const RowChoice* choices;  ///< [count]
  TokenId first;
  RankCandidate* candidates;

  WEFT_DEVICE void operator()() const {
    const std::int64_t q = element();
    if (q >= count) return;
    candidates[q] = {choices[q].largest, choices[q].token + first};
  }
};

/// Where the answers of a kernel's rows go: `AnswerPlaces` as a device reads it.
struct Destinations {
  const std::int32_t* to;
  const std::int32_t* keep;
  RowChoice* choices;
  ScoredToken* top;  ///< [rows, width]
  std::int64_t width;
  std::int32_t* kept;  ///< null: no token is kept

  WEFT_DEVICE void put(std::int64_t q, const RowChoice& choice) const {
    choices[to[q]] = choice;
    if (kept != nullptr && keep[q] >= 0) kept[keep[q]] = choice.token;
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
    RowChoice best;
    bool found = false;
    for (int rank = 0; rank < ranks; ++rank) {
      const RankCandidate candidate = candidates[rank * count + q];
      if (candidate.token < 0 || (found && !(candidate.value > best.largest))) continue;
      best.token = candidate.token;
      best.largest = candidate.value;
      found = true;
    }
    at.put(q, best);
  }
};

/// Answers as they are; what rows have not is undefined here and there.
struct TakeAnswers : OverElements {
  const RowChoice* choices;  ///< [count]
  const ScoredToken* top;    ///< [count, width]
  Destinations at;

  WEFT_DEVICE void operator()() const {
    const std::int64_t q = element();
    if (q >= count) return;
    at.put(q, choices[q]);
    for (std::int64_t i = 0; i < at.width; ++i) {
      at.top[at.to[q] * at.width + i] = top[q * at.width + i];
    }
  }
};

/// Where the rows of kept tokens stand among those that all ranks looked up.
struct PlaceKept : OverElements {
  const std::int32_t* kept;
  const std::int32_t* rows;     ///< -1 - the k-th one's place
  const std::int32_t* holders;  ///< [2, ranks]: where each rank's tokens end, where its rows begin
  int ranks;
  std::int32_t* order;  ///< [count]

  WEFT_DEVICE void operator()() const {
    const std::int64_t m = element();
    if (m >= count || order[m] >= 0) return;
    const std::int32_t k = -1 - order[m];
    const std::int32_t token = kept[-1 - rows[k]];
    int holder = 0;
    while (holder < ranks - 1 && token >= holders[holder]) ++holder;
    order[m] = holders[ranks + holder] + k;
  }
};

/// Negative numbers, which name places of kept tokens, become the tokens' rows of the own table.
struct PutKept : OverElements {
  const std::int32_t* kept;
  std::int32_t first;  ///< of the own tokens
  std::int32_t end;
  std::int32_t* rows;  ///< [count]

  WEFT_DEVICE void operator()() const {
    const std::int64_t i = element();
    if (i >= count || rows[i] >= 0) return;
    const std::int32_t token = kept[-1 - rows[i]];
    rows[i] = token >= first && token < end ? token - first : 0;
  }
};

}  // namespace weft::WEFT_PLATFORM
