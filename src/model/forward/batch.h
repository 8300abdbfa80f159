// One step's work: a ragged batch of prefill chunks and decodes.
#pragma once

#include <cstdint>
#include <vector>

#include "base/types.h"

namespace weft {

/// Rows of prompts that the sp ranks of a replica share: each computes some of them, all of them
/// need the keys and values of every one.
struct SharedRows {
  std::vector<std::int32_t> slots;    ///< in this rank's cache, of all ranks' rows, rank by rank
  std::vector<std::int64_t> rows_of;  ///< rows that each sp rank computes
};

/// Stands for a token that was chosen in the step before and that the host may not know yet: the
/// one at that place of the model's DeviceTokens.
inline TokenId device_token(std::int32_t place) { return -1 - place; }

/// The rows of all sequences one after another. A decode is a sequence with one row; a prefill
/// chunk has several. All arrays are i32 so that they go to a device as they are.
struct Batch {
  std::vector<TokenId> tokens;            ///< [M] tokens or `kept_token`s
  std::vector<std::int32_t> positions;    ///< [M] absolute position in the sequence
  std::vector<std::int32_t> slots;        ///< [M] place of the row's K/V in the cache
  std::vector<std::int32_t> query_begin;  ///< [B+1]
  std::vector<std::int32_t> block_table;  ///< [B, table_width]
  std::int64_t table_width = 0;
  std::vector<std::int32_t> logit_rows;  ///< [R] rows whose logits are asked for, ascending
  SharedRows shared;                     ///< empty where nothing is shared

  [[nodiscard]] std::int64_t rows() const { return static_cast<std::int64_t>(tokens.size()); }
  [[nodiscard]] std::int64_t sequences() const {
    return query_begin.empty() ? 0 : static_cast<std::int64_t>(query_begin.size()) - 1;
  }
};

}  // namespace weft
