// Kernels of layers with experts, but for their products. All give the bits of
// docs/internals/numerics.md.
#pragma once

#include <cmath>
#include <cstdint>

#include "cuda/kernels/rows.h"
#include "cuda/kernels/values.h"
#include "cuda/platform/lane.h"
#include "ops/no_expert.h"

namespace weft::WEFT_PLATFORM {

/// Softmax over a row's logits and its k most probable experts, none for a row of padding; one
/// warp for a row.
struct Route {
  static constexpr int kThreads = 128;
  static constexpr int kMostExperts = 32 * 64;
  Rows<float> logits;
  const std::int32_t* slots;  ///< [rows]
  std::int32_t* chosen;       ///< [rows, k]
  Rows<float> weights;
  std::int32_t* loads;
  std::int64_t rows;
  std::int32_t experts;
  std::int32_t k;
  bool normalise;

  WEFT_DEVICE void operator()() const {
    const std::int64_t row = std::int64_t{block_x()} * (threads() / 32) + thread() / 32;
    if (row >= rows) return;
    const int lane = thread() % 32;
    if (slots[row] < 0) return sample_none(row, lane);
    float* const p = logits[row];
    softmax(p);
    std::uint64_t taken = 0;  // bit i: expert lane + 32 * i
    float sum = 0;
    for (int j = 0; j < k; ++j) {
      const Candidate best = most_probable(p, taken);
      if (best.expert % 32 == lane) taken |= std::uint64_t{1} << (best.expert / 32);
      sum = sum + best.p;
      if (lane == 0) {
        chosen[row * k + j] = best.expert;
        weights[row][j] = best.p;
        atomic_add(loads + best.expert, 1);
      }
    }
    if (!normalise || lane != 0) return;
    for (int j = 0; j < k; ++j) weights[row][j] = weights[row][j] / sum;
  }

 private:
  struct Candidate {
    float p;
    std::int32_t expert;
  };

  WEFT_DEVICE void sample_none(std::int64_t row, int lane) const {
    for (int j = lane; j < k; j += 32) {
      chosen[row * k + j] = kNoExpert;
      weights[row][j] = 0;
    }
  }

  WEFT_DEVICE void softmax(float* p) const {
    const int lane = thread() % 32;
    float largest = -INFINITY;
    for (int e = lane; e < experts; e += 32) largest = p[e] > largest ? p[e] : largest;
    for (int mask = 16; mask > 0; mask /= 2) {
      const float other = shuffle_xor(largest, mask);
      largest = other > largest ? other : largest;
    }
    for (int e = lane; e < experts; e += 32) p[e] = hostdevice::exp_f32(p[e] - largest);
    warp_barrier();
    float sum = 0;
    for (int e = lane % 16; e < experts; e += 16) sum = sum + p[e];  // both halves of the warp
    sum = sum_by_halving(sum);
    warp_barrier();
    for (int e = lane; e < experts; e += 32) p[e] = p[e] / sum;
  }

  /// The lower expert among equals, and among numbers that do not compare.
  WEFT_DEVICE static bool better(const Candidate& a, const Candidate& b) {
    return a.p > b.p || (!(b.p > a.p) && a.expert < b.expert);
  }

  /// Of those that are not taken; the same for all lanes.
  WEFT_DEVICE Candidate most_probable(const float* p, std::uint64_t taken) const {
    Candidate best{-INFINITY, experts};
    const int lane = thread() % 32;
    for (int e = lane; e < experts; e += 32) {
      if ((taken >> (e / 32) & 1U) != 0) continue;
      const Candidate own{p[e], e};
      if (best.expert == experts || better(own, best)) best = own;
    }
    for (int mask = 16; mask > 0; mask /= 2) {
      const Candidate other{shuffle_xor(best.p, mask), shuffle_xor(best.expert, mask)};
      if (other.expert == experts) continue;
      if (best.expert == experts || better(other, best)) best = other;
    }
    return best;
  }
};

/// Sorts pairs by expert, those of one expert by row; one block for an expert.
struct SortPairs {
  static constexpr int kThreads = 256;
  const std::int32_t* experts;  ///< [pairs]
  std::int32_t* ends;
  std::int32_t* rows;
  std::int32_t* places;  ///< [pairs, copies]
  std::int64_t pairs;
  std::int32_t k;
  std::int32_t copies;

  static std::size_t shared_bytes() { return sizeof(std::int32_t) * 2 * (kThreads / 32); }

  WEFT_DEVICE void operator()() const {
    const int warps = threads() / 32;
    const int warp = thread() / 32;
    const int lane = thread() % 32;
    const int expert = block_x();
    // Warps take consecutive pairs, so that their places follow each other.
    const std::int64_t share = (pairs + warps - 1) / warps;
    const std::int64_t first = min(warp * share, pairs);
    const std::int64_t last = min(first + share, pairs);
    std::int32_t before = 0;  // pairs of lower experts
    std::int32_t own = 0;
    for (std::int64_t p = first + lane; p < last; p += 32) {
      const std::int32_t of = experts[p];
      before += of >= 0 && of < expert ? 1 : 0;
      own += of == expert ? 1 : 0;
      if (expert == 0 && of < 0) put_nowhere(p);
    }
    for (int mask = 16; mask > 0; mask /= 2) {
      before += shuffle_xor(before, mask);
      own += shuffle_xor(own, mask);
    }
    auto* const counts = reinterpret_cast<std::int32_t*>(shared());
    if (lane == 0) {
      counts[warp] = before;
      counts[warps + warp] = own;
    }
    block_barrier();
    std::int32_t place = 0;
    std::int32_t end = 0;
    for (int w = 0; w < warps; ++w) {
      place += counts[w] + (w < warp ? counts[warps + w] : 0);
      end += counts[w] + counts[warps + w];
    }
    if (thread() == 0) ends[expert] = end;
    for (std::int64_t at = first; at < last; at += 32) {
      const std::int64_t p = at + lane;
      const bool mine = p < last && experts[p] == expert;
      const std::uint32_t all = ballot(mine);
      if (mine) put(p, place + count_bits(all & ((1U << lane) - 1U)));
      place += count_bits(all);
    }
  }

 private:
  WEFT_DEVICE void put_nowhere(std::int64_t p) const {
    for (int i = 0; i < copies; ++i) places[p * copies + i] = -1;
  }

  WEFT_DEVICE void put(std::int64_t p, std::int32_t place) const {
    rows[place] = static_cast<std::int32_t>(p / k);
    for (int i = 0; i < copies; ++i) {
      places[p * copies + i] = static_cast<std::int32_t>(i * pairs + place);
    }
  }
};

/// What a row's experts yielded, weighted and added up in their order.
struct Combine {
  static constexpr int kThreads = kRowThreads;
  std::int8_t merges[kMostNodes] = {};  ///< as in TreeProgram
  std::int32_t nodes = 0;
  std::int32_t k = 0;
  Rows<const float> parts;
  const std::int32_t* index = nullptr;  ///< [rows, k, nodes]
  Rows<const float> weights;
  Rows<float> out;
  std::int64_t rows = 0;
  std::int64_t columns = 0;

  WEFT_DEVICE void operator()() const {
    const std::int64_t c = column_here();
    if (c >= columns) return;
    for (std::int64_t row = block_y(); row < rows; row += grid_y()) {
      const std::int32_t* from = index + row * k * nodes;
      float total = 0;
      for (int j = 0; j < k; ++j) {
        if (*from < 0) {
          from += nodes;
          continue;
        }
        float waiting[kTreeDepth];
        int depth = 0;
        for (int i = 0; i < nodes; ++i) {
          float sum = parts[*from++][c];
          for (int merge = merges[i]; merge > 0; --merge) sum = waiting[--depth] + sum;
          waiting[depth++] = sum;
        }
        total = fmaf(weights[row][j], waiting[0], total);
      }
      out[row][c] = total;
    }
  }
};

/// sum = fma(1 / (1 + exp(-gate)), x, sum).
struct AddGated {
  static constexpr int kThreads = kRowThreads;
  Rows<const float> gate;
  Rows<const float> x;
  Rows<float> sum;
  std::int64_t rows;
  std::int64_t columns;

  WEFT_DEVICE void operator()() const {
    const std::int64_t c = column_here();
    if (c >= columns) return;
    for (std::int64_t row = block_y(); row < rows; row += grid_y()) {
      const float weight = 1.0F / (1.0F + hostdevice::exp_f32(-gate[row][0]));
      sum[row][c] = fmaf(weight, x[row][c], sum[row][c]);
    }
  }
};

}  // namespace weft::WEFT_PLATFORM
