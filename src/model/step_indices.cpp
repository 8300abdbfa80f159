#include "model/step_indices.h"

#include "base/error.h"

namespace weft {

TableLookup TableLookup::of(std::span<const TokenId> tokens, std::span<const Range> vocabulary_of,
                            int rank) {
  TableLookup lookup;
  lookup.rows_of.assign(vocabulary_of.size(), 0);
  std::vector<std::size_t> owner;
  for (const TokenId token : tokens) {
    const bool kept = token < 0 && vocabulary_of.size() == 1;  // counted from 0 by its only rank
    lookup.kept = lookup.kept || kept;
    std::size_t holder = 0;
    while (!kept && holder < vocabulary_of.size() && !vocabulary_of[holder].contains(token)) {
      ++holder;
    }
    require(holder < vocabulary_of.size(), "token {} is outside the vocabulary", token);
    owner.push_back(holder);
    ++lookup.rows_of[holder];
    if (static_cast<int>(holder) == rank) {
      lookup.table_rows.push_back(static_cast<std::int32_t>(token - vocabulary_of[holder].begin));
    }
  }
  std::vector<std::int32_t> next(vocabulary_of.size(), 0);
  for (std::size_t holder = 1; holder < next.size(); ++holder) {
    next[holder] = next[holder - 1] + static_cast<std::int32_t>(lookup.rows_of[holder - 1]);
  }
  for (const std::size_t holder : owner) lookup.order.push_back(next[holder]++);
  return lookup;
}

std::int64_t index_count(const IndexShape& shape) {
  return 4 * shape.rows + shape.sequences + 1 + shape.sequences * shape.table_width;
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
  step.batch.query_begin = next(shape.sequences + 1);
  step.batch.page_table = Tensor(next(shape.sequences * shape.table_width).data(), DType::i32,
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
  add(batch.query_begin, shape.sequences + 1, static_cast<std::int32_t>(batch.rows()));
  for (std::int64_t sequence = 0; sequence < batch.sequences(); ++sequence) {
    const auto table = batch.page_table.begin() + sequence * batch.table_width;
    all.insert(all.end(), table, table + batch.table_width);
    all.resize(all.size() + static_cast<std::size_t>(shape.table_width - batch.table_width), 0);
  }
  return all;
}

}  // namespace weft
