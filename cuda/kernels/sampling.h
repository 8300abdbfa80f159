// Kernels that choose tokens (docs/internals/numerics.md, "From logits to tokens"): what
// ops/row_sampler.h asks. "q" is a row of the query; blocks of 256 columns are those of the
// vocabulary.
#pragma once

#include <cmath>
#include <cstdint>

#include "cuda/kernels/logits.h"
#include "cuda/kernels/select.h"
#include "cuda/kernels/values.h"
#include "cuda/platform/lane.h"
#include "ops/draw_inline.h"
#include "ops/non_finite.h"
#include "ops/row_sampler.h"

namespace weft {

/// What is known of a row on its way to a token.
struct SamplingRow {
  double raw_largest;  ///< of the raw logits, where log-probabilities are wanted,
  double log_sum;      ///< and the logarithm of the sum of exp(x - raw_largest)
  float largest;       ///< logit, of the edited row
  float limit;         ///< tokens above it pass min_p
  std::int32_t best;   ///< the greedy token
};

}  // namespace weft

namespace weft::WEFT_PLATFORM {

/// A query where kernels read it, and where they put what they find.
struct SamplingTask {
  Rows<float> logits;
  Rows<const float> maxima;          ///< [R, blocks]
  Rows<const std::int32_t> columns;  ///< [R, blocks]: of the maxima
  Rows<float> weight_sums;           ///< [Q, blocks]
  const SamplingRequest* rows;       ///< [Q]
  const LogitEdit* edits;
  const std::int32_t* lists;
  float* raw;               ///< a logit for each edit
  SamplingRow* states;      ///< [Q]
  SamplingResult* results;  ///< [Q]
  ScoredToken* top;         ///< [Q, top_width]
  std::int64_t top_width;
  std::int64_t vocab;
  std::int64_t blocks;
};

/// Writes edited logits over the raw ones, which it keeps; one block for a row.
struct EditLogits {
  static constexpr int kThreads = kDrawThreads;
  SamplingTask task;

  WEFT_DEVICE void operator()() const {
    const SamplingRequest& request = task.rows[block_x()];
    for (std::int32_t i = request.edits + thread(); i < request.edits_end; i += threads()) {
      float& logit = task.logits[request.row][task.edits[i].token];
      task.raw[i] = logit;
      logit = hostdevice::edited(logit, task.edits[i], request.penalties);
    }
  }
};

/// A row's largest logit and what follows from it at once; one warp for a row. Raw logits are seen
/// first: whether they are finite is told by the choice. Edited ones need not be.
struct BestOfRow {
  static constexpr int kThreads = 32;
  SamplingTask task;
  bool raw;

  WEFT_DEVICE void operator()() const {
    const std::int64_t q = block_x();
    const SamplingRequest& request = task.rows[q];
    const float* const maxima = task.maxima[request.row];
    float best = -INFINITY;
    auto at = static_cast<std::int32_t>(task.blocks);
    std::int32_t odd = 0;
    for (auto b = static_cast<std::int32_t>(thread()); b < task.blocks; b += 32) {
      if (hostdevice::is_marked(task.columns[request.row][b])) odd = 1;
      if (maxima[b] > best || at == task.blocks) {
        best = maxima[b];
        at = b;
      }
    }
    for (int mask = 16; mask > 0; mask /= 2) {
      const float other = shuffle_xor(best, mask);
      const std::int32_t other_at = shuffle_xor(at, mask);
      if (other > best || (other == best && other_at < at)) {
        best = other;
        at = other_at;
      }
      odd |= shuffle_xor(odd, mask);
    }
    if (thread() != 0) return;
    SamplingRow& state = task.states[q];
    state.largest = best;
    state.best = hostdevice::unmarked(task.columns[request.row][at]);
    state.limit = hostdevice::min_p_limit(request.log_min_p, best, request.scale);
    SamplingResult& choice = task.results[q];
    choice.token = request.kind == RowKind::known ? request.token : state.best;
    choice.largest = best;
    if (raw) choice.top = hostdevice::marked_if(odd != 0, 0);
  }
};

/// Masses of the blocks of rows that need them all: for log-probabilities, or for a draw from the
/// whole row; one warp for a block.
struct RowWeightSums {
  static constexpr int kThreads = 128;
  SamplingTask task;
  bool scored;  ///< for log-probabilities

  WEFT_DEVICE void operator()() const {
    const std::int64_t block = std::int64_t{block_x()} * (threads() / 32) + thread() / 32;
    if (block >= task.blocks) return;
    const std::int64_t q = block_y();
    const SamplingRequest& request = task.rows[q];
    if (scored ? request.top < 0 : request.kind != RowKind::whole) return;
    const float limit = scored ? -INFINITY : task.states[q].limit;
    const float weight_sum = block_weight_sum(task.logits[request.row], block, task.vocab,
                                              task.maxima[request.row][block],
                                              scored ? 1.0F : request.scale, {limit, limit, 0});
    if (thread() % 32 == 0) task.weight_sums[q][block] = weight_sum;
  }
};

WEFT_DEVICE LogitsRow logits_row(const SamplingTask& task, std::int32_t row) {
  return {task.logits[row], task.maxima[row], task.vocab, task.blocks};
}

/// weights[b] = weight sums[b] relative to `largest`; gives their sum.
WEFT_DEVICE double weigh_blocks(const float* weight_sums, const LogitsRow& row, double largest,
                                float scale, const DrawRoom& room) {
  for (std::int64_t b = thread(); b < row.blocks; b += threads()) {
    const float weight_sum = weight_sums[b];
    room.weights[b] =
        weight_sum > 0 ? weight_sum * hostdevice::exp_d((row.maxima[b] - largest) * scale) : 0.0;
  }
  return running_sums(room, row.blocks);
}

/// The likeliest tokens and the normaliser of raw rows; one block for a row.
struct ScoreRow {
  static constexpr int kThreads = kDrawThreads;
  SamplingTask task;

  WEFT_DEVICE void operator()() const {
    const std::int64_t q = block_x();
    const SamplingRequest& request = task.rows[q];
    if (request.top < 0) return;
    const DrawRoom room = draw_room(task.blocks);
    const LogitsRow row = logits_row(task, request.row);
    const double largest = task.states[q].largest;
    const double log_sum =
        hostdevice::log_d(weigh_blocks(task.weight_sums[q], row, largest, 1.0F, room));
    if (thread() == 0) {
      task.states[q].raw_largest = largest;
      task.states[q].log_sum = log_sum;
    }
    const std::int32_t found = request.top > 0 ? first_tokens(row, request.top, room) : 0;
    for (std::int32_t i = thread(); i < found; i += threads()) {
      const std::uint64_t key = room.keys[i];
      task.top[q * task.top_width + i] = {index_of(key),
                                          hostdevice::logprob(value_of(key), largest, log_sum)};
    }
    if (thread() == 0) {
      std::int32_t& top = task.results[q].top;
      top = hostdevice::marked_if(hostdevice::is_marked(top), found);
    }
  }
};

/// The keys of a list's tokens above -infinity in their order, at most top_k of them, to room.keys;
/// gives how many there are.
WEFT_DEVICE std::int32_t listed_tokens(const SamplingTask& task, const SamplingRequest& request,
                                       const DrawRoom& room) {
  const std::int32_t count = request.list_end - request.list;
  std::int32_t missing = 0;
  for (std::int32_t i = thread(); i < count; i += threads()) {
    const std::int32_t token = task.lists[request.list + i];
    const float value = task.logits[request.row][token];
    room.keys[i] = value > -INFINITY ? order_key(value, token) : 0;
    if (room.keys[i] == 0) ++missing;
  }
  if (thread() == 0) room.counts[0] = 0;
  block_barrier();
  if (missing > 0) atomic_add(room.counts, missing);
  sort_keys(room.keys, count);
  const std::int32_t found = count - room.counts[0];
  return request.top_k > 0 ? min(request.top_k, found) : found;
}

/// A token drawn from the first `found` keys; every thread gets it.
WEFT_DEVICE std::int32_t draw_from_keys(std::int32_t found, const SamplingRequest& request,
                                        const DrawRoom& room) {
  const float first = value_of(room.keys[0]);
  if (request.first != 0 || !(fabsf(first) < INFINITY)) return index_of(room.keys[0]);
  for (std::int32_t i = thread(); i < found; i += threads()) {
    room.weights[i] = hostdevice::exp_d((double{value_of(room.keys[i])} - first) * request.scale);
  }
  block_barrier();
  if (thread() == 0) {
    const float limit = hostdevice::min_p_limit(request.log_min_p, first, request.scale);
    std::int32_t count = 0;
    while (count < found && value_of(room.keys[count]) > limit) ++count;
    const double u = hostdevice::uniforms(request.seed, request.position, request.choice, 0).u;
    room.words[0] =
        static_cast<std::int32_t>(hostdevice::draw_weight(room.weights, count, request.top_p, u));
  }
  block_barrier();
  return index_of(room.keys[room.words[0]]);
}

/// A token drawn from a whole row whose weight sums are those of tokens that pass min_p, as RowDraw
/// (engine/row_draw.h) draws it; every thread gets it. `weight sums` are overwritten.
WEFT_DEVICE std::int32_t draw_from_row(const LogitsRow& row, float* weight_sums,
                                       const SamplingRequest& request, const SamplingRow& state,
                                       const DrawRoom& room) {
  if (!(fabsf(state.largest) < INFINITY)) return state.best;
  ColumnLimits drawable{state.limit, state.limit, 0};
  double total = weigh_blocks(weight_sums, row, state.largest, request.scale, room);
  const double wanted = request.top_p * total;
  for (std::uint64_t attempt = 0;; ++attempt) {
    if (!(total > 0)) return state.best;
    const hostdevice::Uniforms random =
        hostdevice::uniforms(request.seed, request.position, request.choice, attempt);
    const std::int64_t block = passing_of_block(room, row.blocks, random.u * total);
    const std::int64_t column = block * kDrawThreads + thread();
    const float logit = column < row.columns ? row.logits[column] : -INFINITY;
    room.weights[thread()] =
        drawable.counts(logit, column)
            ? double{hostdevice::exp_f32((logit - row.maxima[block]) * request.scale)}
            : 0.0;
    const double of_block = running_sums(room, kDrawThreads);
    const std::int64_t drawn =
        block * kDrawThreads + passing_of_block(room, kDrawThreads, random.v * of_block);
    if (!(request.top_p < 1)) return static_cast<std::int32_t>(drawn);
    // It is chosen when the tokens before it weigh less than top_p; else draw from these.
    const float value = row.logits[drawn];
    drawable = {hostdevice::next_below(value), value, drawn};
    for (std::int64_t b = thread() / 32; b < row.blocks; b += threads() / 32) {
      const float weight_sum =
          block_weight_sum(row.logits, b, row.columns, row.maxima[b], request.scale, drawable);
      if (thread() % 32 == 0) weight_sums[b] = weight_sum;
    }
    block_barrier();
    total = weigh_blocks(weight_sums, row, state.largest, request.scale, room);
    if (total < wanted) return static_cast<std::int32_t>(drawn);
  }
}

/// The tokens of rows that are not greedy; one block for a row.
struct ChooseToken {
  static constexpr int kThreads = kDrawThreads;
  SamplingTask task;

  WEFT_DEVICE void operator()() const {
    const std::int64_t q = block_x();
    const SamplingRequest& request = task.rows[q];
    if (request.kind == RowKind::known || request.kind == RowKind::greedy) return;
    const DrawRoom room = draw_room(task.blocks);
    const LogitsRow row = logits_row(task, request.row);
    std::int32_t token = task.states[q].best;
    if (request.kind == RowKind::whole) {
      token = draw_from_row(row, task.weight_sums[q], request, task.states[q], room);
    } else {
      const bool listed = request.kind == RowKind::listed;
      const std::int32_t found =
          listed ? listed_tokens(task, request, room) : first_tokens(row, request.top_k, room);
      if (found > 0) {
        token = draw_from_keys(found, request, room);
      } else if (listed) {
        token = request.token;
      }
    }
    if (thread() == 0) task.results[q].token = token;
  }
};

/// Puts raw logits back and finds the chosen tokens' log-probabilities; one block for a row.
struct FinishRow {
  static constexpr int kThreads = kDrawThreads;
  SamplingTask task;

  WEFT_DEVICE void operator()() const {
    const std::int64_t q = block_x();
    const SamplingRequest& request = task.rows[q];
    float* const logits = task.logits[request.row];
    for (std::int32_t i = request.edits + thread(); i < request.edits_end; i += threads()) {
      logits[task.edits[i].token] = task.raw[i];
    }
    block_barrier();
    if (thread() != 0 || request.top < 0) return;
    SamplingResult& choice = task.results[q];
    choice.logprob = hostdevice::logprob(logits[choice.token], task.states[q].raw_largest,
                                         task.states[q].log_sum);
  }
};

}  // namespace weft::WEFT_PLATFORM
