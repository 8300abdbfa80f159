#include "plan/step_work.h"

#include <algorithm>
#include <cmath>

namespace weft {
namespace {

double elements(const MatrixShape& shape) {
  return static_cast<double>(shape.rows) * static_cast<double>(shape.columns());
}

/// Parameters of one sub-layer, and multiply-adds of all rows with them.
struct Products {
  double parameters = 0;
  double products = 0;
};

/// Matrices that every one of `rows` rows meets.
Products dense(double parameters, double rows) { return {parameters, rows * parameters}; }

Products sparse(const MoePartition& moe, double rows) {
  const auto experts = static_cast<double>(moe.config.experts);
  const auto own = static_cast<double>(moe.experts.size());
  const double all_rows = rows * moe.coordinates.domains();
  const double chance = static_cast<double>(moe.config.per_token) / experts;
  const double expert = elements(moe.gate_up) + elements(moe.down);
  Products sum = dense(elements(moe.router), rows);
  sum.parameters += own * (1 - std::pow(1 - chance, all_rows)) * expert;
  sum.products += all_rows * chance * own * expert;
  if (moe.shared()) {
    const double shared =
        elements(moe.shared_gate) + elements(moe.shared_gate_up) + elements(moe.shared_down);
    sum.parameters += shared;
    sum.products += rows * shared;
  }
  return sum;
}

}  // namespace

StepWork work_of(const StepCase& step, const Partition& part) {
  const auto sequences = static_cast<double>(step.sequences);
  const auto rows = static_cast<double>(step.rows);
  const auto context = static_cast<double>(step.context);
  const Range attentions = part.stage.attention_layers();
  const Range ffns = part.stage.ffn_layers();
  Products sum;
  const auto add = [&](const Products& more) {
    sum.parameters += more.parameters;
    sum.products += more.products;
  };
  double keys_read = 0;
  double pairs = 0;  // of a query and a key that it sees
  for (std::int64_t i = attentions.begin; i < attentions.end; ++i) {
    add(dense(elements(part.qkv()) + elements(part.o()), sequences * rows));
    const auto window = static_cast<double>(part.config.windows[static_cast<std::size_t>(i)]);
    const double seen = context + (rows + 1) / 2;  // by a row, on average
    pairs += sequences * rows * (window > 0 ? std::min(window, seen) : seen);
    const double kept = context + rows;
    keys_read += sequences * (window > 0 ? std::min(window + rows, kept) : kept);
  }
  for (std::int64_t i = ffns.begin; i < ffns.end; ++i) {
    add(part.config.moe.is_sparse(i)
            ? sparse(part.moe, sequences * rows)
            : dense(elements(part.gate_up()) + elements(part.down()), sequences * rows));
  }
  if (part.stage.last()) add(dense(elements(part.vocabulary()), sequences));
  const auto kv_columns = static_cast<double>(part.heads.kv_heads * part.heads.head_dim);
  StepWork work;
  work.bytes =
      (sum.parameters + 2 * kv_columns * keys_read) * static_cast<double>(size_of(part.dtype));
  work.flops = 2 * sum.products + 4 * pairs * static_cast<double>(part.query_columns());
  return work;
}

}  // namespace weft
