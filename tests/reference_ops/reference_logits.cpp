// Plain reference implementations of the operators that choose tokens.
#include <algorithm>
#include <array>
#include <limits>

#include "base/elementary.h"
#include "ops/checks.h"
#include "ops/non_finite.h"
#include "reference_ops/reference_ops.h"

namespace weft {
namespace {

constexpr std::int64_t kLogitBlock = 256;

template <class T>
T& logit_at(const Tensor& t, std::int64_t row, std::int64_t column = 0) {
  return t.as<T>()[row * t.row_stride() + column];
}

}  // namespace

void ReferenceOps::block_maxima(const Tensor& logits, const Tensor& values, const Tensor& columns) {
  checks::block_maxima(logits, values, columns);
  for (std::int64_t m = 0; m < logits.rows(); ++m) {
    for (std::int64_t begin = 0; begin < logits.row_elements(); begin += kLogitBlock) {
      float best = -std::numeric_limits<float>::infinity();
      std::int64_t best_at = begin;
      bool finite = true;
      for (std::int64_t c = begin; c < std::min(begin + kLogitBlock, logits.row_elements()); ++c) {
        finite = finite && hostdevice::is_finite(logit_at<float>(logits, m, c));
        if (logit_at<float>(logits, m, c) > best) {
          best = logit_at<float>(logits, m, c);
          best_at = c;
        }
      }
      logit_at<float>(values, m, begin / kLogitBlock) = best;
      logit_at<std::int32_t>(columns, m, begin / kLogitBlock) =
          hostdevice::marked_if(!finite, static_cast<std::int32_t>(best_at));
    }
  }
}

void ReferenceOps::block_weight_sums(const Tensor& logits, const Tensor& values,
                                     const WeightSumQuery& query, const Tensor& weight_sums) {
  checks::block_weight_sums(logits, values, query, weight_sums);
  for (std::int64_t m = 0; m < logits.rows(); ++m) {
    const float scale = logit_at<float>(query.scales, m);
    for (std::int64_t b = 0; b < values.row_elements(); ++b) {
      const float value = logit_at<float>(values, m, b);
      std::array<float, 16> lanes{};
      const std::int64_t end = std::min((b + 1) * kLogitBlock, logits.row_elements());
      for (std::int64_t c = b * kLogitBlock; c < end; ++c) {
        const bool early = c < logit_at<std::int32_t>(query.splits, m);
        const float limit = logit_at<float>(early ? query.before : query.behind, m);
        const float logit = logit_at<float>(logits, m, c);
        if (!(scale > 0) || !(logit > limit)) continue;
        if (value == std::numeric_limits<float>::infinity()) continue;
        auto& lane = lanes[static_cast<std::size_t>(c % 16)];
        lane = lane + exp_f32((logit - value) * scale);
      }
      logit_at<float>(weight_sums, m, b) = reference::sum_by_halving(lanes);
    }
  }
}

void ReferenceOps::gather_blocks(const Tensor& x, const Tensor& rows, const Tensor& blocks,
                                 const Tensor& out) {
  checks::gather_blocks(x, rows, blocks, out);
  for (std::int64_t i = 0; i < out.rows(); ++i) {
    for (std::int64_t j = 0; j < 256; ++j) {
      const std::int64_t column = std::int64_t{logit_at<std::int32_t>(blocks, i)} * 256 + j;
      logit_at<float>(out, i, j) = column < x.row_elements()
                                       ? logit_at<float>(x, logit_at<std::int32_t>(rows, i), column)
                                       : -std::numeric_limits<float>::infinity();
    }
  }
}

void ReferenceOps::get_elements(const Tensor& x, const Tensor& rows, const Tensor& columns,
                                const Tensor& out) {
  checks::elements(x, rows, columns, out);
  for (std::int64_t i = 0; i < out.rows(); ++i) {
    logit_at<float>(out, i) =
        logit_at<float>(x, logit_at<std::int32_t>(rows, i), logit_at<std::int32_t>(columns, i));
  }
}

void ReferenceOps::put_elements(const Tensor& values, const Tensor& rows, const Tensor& columns,
                                const Tensor& x) {
  checks::elements(x, rows, columns, values);
  for (std::int64_t i = 0; i < values.rows(); ++i) {
    logit_at<float>(x, logit_at<std::int32_t>(rows, i), logit_at<std::int32_t>(columns, i)) =
        logit_at<float>(values, i);
  }
}

}  // namespace weft
