// The index arrays of a step: put together on the host, uploaded at once.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "layout/segments.h"
#include "model/forward/batch.h"
#include "ops/views.h"

namespace weft {

/// Rows of the embedding table that the tokens of a step need, spread over tensor-parallel ranks.
struct TableLookup {
  std::vector<std::int64_t> rows_of;  ///< that each rank looks up
  /// This rank's, counted from the first that it holds, or `kept_token`s. Those of several ranks,
  /// where nobody knows who holds them, are looked up by all that hold anything, before others;
  /// they stand here also where this rank holds nothing.
  std::vector<std::int32_t> table_rows;
  /// [M] each token's place where the ranks' rows stand one behind the other; of several ranks,
  /// -1 - k for the k-th kept one
  std::vector<std::int32_t> order;
  std::vector<std::int32_t> holders;  ///< see KeptLookup; of one rank none
  std::int64_t device_tokens = 0;     ///< tokens that are `kept_token`s

  /// `vocabulary_of` are the tokens whose rows each rank holds. Throws Error for a token that none
  /// has.
  static TableLookup of(std::span<const TokenId> tokens, std::span<const Range> vocabulary_of,
                        int rank);
};

/// Sizes of a step's index arrays.
struct IndexShape {
  std::int64_t rows = 0;
  std::int64_t sequences = 0;
  std::int64_t table_width = 0;
  int ranks = 1;  ///< over which the embedding table is spread
};

/// Numbers of all arrays together.
std::int64_t index_count(const IndexShape& shape);

/// The arrays, i32: their places follow from the shape.
struct StepIndices {
  BatchView batch;
  Tensor order;       ///< [M]
  Tensor table_rows;  ///< [M], of which a rank uses as many as it looks up
  Tensor holders;     ///< [2, ranks]; undefined of one rank

  /// `indices` has index_count(shape) numbers.
  static StepIndices in(const Tensor& indices, const IndexShape& shape);
};

/// What belongs there, from the first number on: the tables of sequences that the batch has not are
/// left out. The shape is the batch's or a larger one. Rows and sequences that it has more are
/// padding: rows of no sequence, at position 0, which go nowhere and copy the first row's token.
std::vector<std::int32_t> index_arrays(const Batch& batch, const TableLookup& lookup,
                                       const IndexShape& shape);

}  // namespace weft
