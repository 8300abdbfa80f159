#include "model/forward/step_indices.h"

#include "base/error.h"

namespace weft {

TableLookup TableLookup::of(std::span<const TokenId> tokens, std::span<const Range> vocabulary_of,
                            int rank) {
  const std::size_t ranks = vocabulary_of.size();
  TableLookup lookup;
  lookup.rows_of.assign(ranks, 0);
  std::vector<std::int32_t> known;
  std::vector<std::size_t> owner;  // of each token; `ranks`: anybody
  for (const TokenId token : tokens) {
    std::size_t holder = 0;
    if (token < 0) {
      ++lookup.device_tokens;
      holder = ranks == 1 ? 0 : ranks;  // counted from 0 by the only one
    } else {
      while (holder < ranks && !vocabulary_of[holder].contains(token)) ++holder;
      require(holder < ranks, "token {} is outside the vocabulary", token);
    }
    owner.push_back(holder);
    if (holder == ranks) {
      lookup.table_rows.push_back(token);
      continue;
    }
    ++lookup.rows_of[holder];
    if (static_cast<int>(holder) == rank) {
      known.push_back(static_cast<std::int32_t>(token - vocabulary_of[holder].begin));
    }
  }
  lookup.table_rows.insert(lookup.table_rows.end(), known.begin(), known.end());
  std::vector<std::int32_t> next(ranks + 1, 0);  // row of all that each rank's next known token has
  std::int32_t begin = 0;
  for (std::size_t holder = 0; holder < ranks; ++holder) {
    const bool all = ranks > 1 && !vocabulary_of[holder].empty();
    const std::int64_t device_tokens = all ? lookup.device_tokens : 0;
    next[holder] = begin + static_cast<std::int32_t>(device_tokens);
    if (ranks > 1) lookup.holders.push_back(static_cast<std::int32_t>(vocabulary_of[holder].end));
    lookup.rows_of[holder] += device_tokens;
    begin += static_cast<std::int32_t>(lookup.rows_of[holder]);
  }
  for (std::size_t holder = 0, first = 0; holder < ranks && ranks > 1; ++holder) {
    lookup.holders.push_back(static_cast<std::int32_t>(first));
    first += static_cast<std::size_t>(lookup.rows_of[holder]);
  }
  for (const std::size_t holder : owner) {
    const std::int32_t place = next[holder]++;
    lookup.order.push_back(holder == ranks ? -1 - place : place);
  }
  return lookup;
}

std::int64_t index_count(const IndexShape& shape) {
  const std::int64_t holders = shape.ranks > 1 ? 2 * std::int64_t{shape.ranks} : 0;
  return 4 * shape.rows + holders + shape.sequences + 1 + shape.sequences * shape.table_width;
}

StepIndices StepIndices::in(const Tensor& indices, const IndexShape& shape) {
  require(indices.elements() == index_count(shape), "{} numbers for the indices of a step",
          indices.elements());
  std::int64_t at = 0;
  const auto next = [&](std::int64_t count) {
    const Tensor array(indices.slice(at, at + count).data(), DType::i32, {count});
    at += count;
    return array;
  };
  StepIndices step;
  step.batch.positions = next(shape.rows);
  step.batch.slots = next(shape.rows);
  step.order = next(shape.rows);
  step.table_rows = next(shape.rows);
  if (shape.ranks > 1) step.holders = next(2 * std::int64_t{shape.ranks});
  step.batch.query_begin = next(shape.sequences + 1);
  step.batch.block_table = Tensor(next(shape.sequences * shape.table_width).data(), DType::i32,
                                  {shape.sequences, shape.table_width});
  return step;
}

std::vector<std::int32_t> index_arrays(const Batch& batch, const TableLookup& lookup,
                                       const IndexShape& shape) {
  require(shape.rows >= batch.rows() && shape.sequences >= batch.sequences() &&
              shape.table_width >= batch.table_width,
          "a batch of {} rows does not fit the arrays", batch.rows());
  std::vector<std::int32_t> all;
  all.reserve(static_cast<std::size_t>(index_count(shape)));
  const auto add = [&](const std::vector<std::int32_t>& values, std::int64_t count,
                       std::int32_t padding) {
    const std::size_t end = all.size() + static_cast<std::size_t>(count);
    all.insert(all.end(), values.begin(), values.end());
    all.resize(end, padding);
  };
  add(batch.positions, shape.rows, 0);
  add(batch.slots, shape.rows, -1);
  add(lookup.order, shape.rows, 0);
  add(lookup.table_rows, shape.rows, -1);
  if (shape.ranks > 1) add(lookup.holders, 2 * std::int64_t{shape.ranks}, 0);
  add(batch.query_begin, shape.sequences + 1, static_cast<std::int32_t>(batch.rows()));
  for (std::int64_t sequence = 0; sequence < batch.sequences(); ++sequence) {
    const auto table = batch.block_table.begin() + sequence * batch.table_width;
    all.insert(all.end(), table, table + batch.table_width);
    all.resize(all.size() + static_cast<std::size_t>(shape.table_width - batch.table_width), 0);
  }
  return all;
}

}  // namespace weft
