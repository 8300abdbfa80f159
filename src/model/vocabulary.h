// Logits that are spread over ranks by blocks of the vocabulary, brought together.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "base/buffer.h"
#include "base/digest.h"
#include "comm/group.h"
#include "model/partition.h"
#include "ops/ops.h"

namespace weft {

/// The edges of the output head. Every rank of the group calls each function with its own columns
/// of the same rows and gets the same result.
class Vocabulary {
 public:
  /// Room for `max_rows` rows at a time. `ops` and `group` must outlive it.
  Vocabulary(const Partition& part, std::int64_t max_rows, Ops& ops, Group& group);

  /// Bytes that a Vocabulary takes from the operators' memory.
  static Bytes bytes(const Partition& part, std::int64_t max_rows);

  /// The token of the largest logit of each row, the lowest id among equals. logits [R, own
  /// vocabulary] f32.
  std::vector<TokenId> argmax(const Tensor& logits);

  /// Digests of each row's blocks of 256 logits (raw little-endian f32), by row, then by block in
  /// ascending order: [R * blocks].
  std::vector<Digest> block_digests(const Tensor& logits);

  /// Whole rows [rows.size(), vocabulary] f32 on the host, of the rows asked for. Valid until the
  /// next call.
  std::span<const float> gather(const Tensor& logits, std::span<const std::int32_t> rows);

  [[nodiscard]] std::int64_t blocks() const { return blocks_; }
  [[nodiscard]] std::int64_t vocab() const { return vocab_; }

 private:
  [[nodiscard]] std::int64_t own_blocks() const {
    return blocks_of_[static_cast<std::size_t>(rank_)].size();
  }

  Ops& ops_;
  Group& group_;
  int rank_;
  std::int64_t vocab_;
  std::int64_t blocks_;
  std::int64_t max_rows_;
  std::vector<Range> columns_of_;  ///< columns of each rank
  std::vector<Range> blocks_of_;   ///< blocks of each rank
  Buffer maxima_;                  ///< [R, own blocks] f32
  Buffer columns_;                 ///< [R, own blocks] i32
  Buffer host_;                    ///< [R, own vocabulary] f32: a host copy of the logits
  Buffer received_;                ///< [R, vocabulary] f32, rank by rank
  Buffer rows_;                    ///< [R, vocabulary] f32
};

}  // namespace weft
