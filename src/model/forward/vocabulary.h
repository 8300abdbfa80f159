// Logits that are spread over ranks by blocks of the vocabulary: what all ranks need to know of
// them.
#pragma once

#include <cstdint>
#include <limits>
#include <memory>
#include <span>
#include <vector>

#include "base/buffer.h"
#include "base/digest.h"
#include "comm/group.h"
#include "model/forward/device_sampling.h"
#include "model/parallel/partition.h"
#include "ops/op_sizes.h"

namespace weft {

class Ops;

/// What to weigh of a row: the tokens before a place in the order "larger logits first, lower ids
/// first among equals", or all.
struct RowWeightSum {
  std::int32_t row = 0;
  float scale = 1;  ///< inverse temperature, > 0
  /// Tokens below `split` count with logits above `before`, the others with logits above `behind`.
  float before = -std::numeric_limits<float>::infinity();
  float behind = -std::numeric_limits<float>::infinity();
  TokenId split = 0;
};

/// A block of a row.
struct RowBlock {
  std::int32_t row = 0;
  std::int32_t block = 0;
};

/// A logit's place.
struct RowToken {
  std::int32_t row = 0;
  TokenId token = 0;
};

/// The edges of the output head. Every rank of the group calls each function with its own columns
/// of the same rows, logits [R, own vocabulary] f32, and gets the same result. Blocks are those of
/// 256 tokens; what is by block is in ascending order of the whole vocabulary's blocks.
class Vocabulary {
 public:
  /// Room for `max_rows` rows at a time. `ops` and `group` must outlive it.
  Vocabulary(const Partition& part, std::int64_t max_rows, Ops& ops, Group& group);
  /// The same for tokens that are cut as `columns_of` has them, by rank.
  Vocabulary(std::vector<Range> columns_of, std::int64_t max_rows, Ops& ops, Group& group);

  /// Bytes that a Vocabulary takes from the operators' memory.
  static Bytes bytes(const Partition& part, std::int64_t max_rows, const OpSizes& ops);

  /// The token of the largest logit of each row, the lowest id among equals. The blocks' maxima are
  /// remembered for `maxima` and `weight sums`. `finite`, where given, is told which rows have
  /// neither NaN nor an infinity on any rank.
  std::vector<TokenId> argmax(const Tensor& logits, std::vector<bool>* finite = nullptr);

  /// The largest logit of each block, [rows.size(), blocks], as the last `argmax` saw them; as
  /// `Ops::block_maxima` has them.
  std::vector<float> maxima(std::span<const std::int32_t> rows);

  /// The weight sum of each block of each row asked for, [asked.size(), blocks], relative to the
  /// block's maximum, as `Ops::block_masses` has it. A row is asked for at most once. The logits
  /// must be those that the last `argmax` saw.
  std::vector<float> weight_sums(const Tensor& logits, std::span<const RowWeightSum> request);

  /// The logits of blocks, [asked.size(), 256]; -infinity behind the end of the vocabulary.
  std::vector<float> block_values(const Tensor& logits, std::span<const RowBlock> request);

  /// Single logits.
  std::vector<float> values(const Tensor& logits, std::span<const RowToken> request);

  /// Overwrites single logits; no place is named twice.
  void replace(const Tensor& logits, std::span<const RowToken> places,
               std::span<const float> values);

  /// Of each row, the digest over its block digests (hexadecimal, one behind the other); a block's
  /// digest is that of its 256 logits as raw little-endian f32.
  std::vector<Digest> row_digests(const Tensor& logits);

  /// What chooses tokens where the logits are; null where the operators have no sampler.
  [[nodiscard]] DeviceSampling* device_sampling() const { return sampled_.get(); }

  [[nodiscard]] std::int64_t blocks() const { return blocks_; }
  [[nodiscard]] std::int64_t vocab() const { return vocab_; }

 private:
  [[nodiscard]] Range own() const { return columns_of_[static_cast<std::size_t>(rank_)]; }
  [[nodiscard]] std::int64_t own_blocks() const {
    return blocks_of_[static_cast<std::size_t>(rank_)].size();
  }
  [[nodiscard]] std::vector<float> by_block(std::span<const std::int32_t> rows,
                                            std::span<const float> own_values);
  /// Values of all ranks, in the order asked for, from each owner's in that order.
  template <class T, class OwnerOf>
  std::vector<T> from_owners(std::span<const T> mine, std::size_t request, std::size_t width,
                             OwnerOf owner_of);
  [[nodiscard]] std::size_t owner_of(TokenId token) const;

  Ops& ops_;
  Group& group_;
  int rank_;
  std::int64_t vocab_;
  std::int64_t blocks_;
  std::int64_t max_rows_;
  std::vector<Range> columns_of_;  ///< columns of each rank
  std::vector<Range> blocks_of_;   ///< blocks of each rank
  std::vector<float> own_maxima_;  ///< [R, own blocks] of the last argmax, on the host
  Buffer maxima_;                  ///< [R, own blocks] f32
  Buffer columns_;                 ///< [R, own blocks] i32
  Buffer weight_sums_;             ///< [R, own blocks] f32
  Buffer query_;                   ///< a MassQuery's four tensors [R]
  Buffer elements_;                ///< rows, columns and values of single logits
  Buffer
      gathered_;  ///< [max_rows, kVocabBlock] f32, then their rows and blocks, [max_rows] i32 each
  std::unique_ptr<DeviceSampling> sampled_;
};

}  // namespace weft
