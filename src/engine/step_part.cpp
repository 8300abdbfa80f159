#include "engine/step_part.h"

#include <algorithm>
#include <array>
#include <string>

#include "base/error.h"
#include "layout/causal_split.h"

namespace weft {
namespace {

/// The rows of a slice, counted from its first, that a rank computes.
std::array<Range, 2> runs_of(const Slice& slice, int rank, int sp) {
  if (slice.shared) return causal_rows(slice.count, sp, rank);
  if (slice.home == rank) return {Range{0, slice.count}, Range{}};
  return {};
}

/// Fills a batch, one run of rows after the other.
class Builder {
 public:
  Builder(std::int64_t block_tokens, std::int64_t table_width) : block_tokens_(block_tokens) {
    batch_.table_width = table_width;
    batch_.query_begin.push_back(0);
  }

  void add(Range positions, const Sequence& sequence, const std::vector<BlockId>& kv_blocks) {
    for (std::int64_t position = positions.begin; position < positions.end; ++position) {
      batch_.tokens.push_back(sequence.token_at(position));
      batch_.positions.push_back(static_cast<std::int32_t>(position));
      batch_.slots.push_back(slot(position, kv_blocks));
    }
    batch_.query_begin.push_back(static_cast<std::int32_t>(batch_.tokens.size()));
    batch_.block_table.insert(batch_.block_table.end(), kv_blocks.begin(), kv_blocks.end());
    batch_.block_table.resize(batch_.block_table.size() +
                              static_cast<std::size_t>(batch_.table_width) - kv_blocks.size());
  }

  [[nodiscard]] std::int32_t slot(std::int64_t position,
                                  const std::vector<BlockId>& kv_blocks) const {
    const BlockId kv_block = kv_blocks[static_cast<std::size_t>(position / block_tokens_)];
    return static_cast<std::int32_t>(kv_block * block_tokens_ + position % block_tokens_);
  }
  [[nodiscard]] std::int32_t rows() const {
    return static_cast<std::int32_t>(batch_.tokens.size());
  }
  [[nodiscard]] Batch take() { return std::move(batch_); }

 private:
  std::int64_t block_tokens_;
  Batch batch_;
};

/// Adds a slice's own runs to the batch; gives the row of the batch of each of the slice's rows in
/// `wanted` (counted from its first), -1 for those of other ranks.
std::vector<std::int32_t> add_runs(const Slice& slice, std::span<const std::int64_t> wanted,
                                   const Sequence& sequence, const std::vector<BlockId>& kv_blocks,
                                   int rank, int sp, Builder& builder) {
  std::vector<std::int32_t> rows(wanted.size(), -1);
  for (const Range& run : runs_of(slice, rank, sp)) {
    if (run.empty()) continue;
    const std::int32_t first = builder.rows();
    builder.add({slice.begin + run.begin, slice.begin + run.end}, sequence, kv_blocks);
    for (std::size_t i = 0; i < wanted.size(); ++i) {
      if (!run.contains(wanted[i])) continue;
      rows[i] = first + static_cast<std::int32_t>(wanted[i] - run.begin);
    }
  }
  return rows;
}

/// The sp rank that computes a row of a slice.
int owner_of(const Slice& slice, std::int64_t row, int sp) {
  if (!slice.shared) return slice.home;
  for (int rank = 0; rank < sp; ++rank) {
    for (const Range& run : causal_rows(slice.count, sp, rank)) {
      if (run.contains(row)) return rank;
    }
  }
  fail("row {} of {} has no owner", row, slice.count);
}

/// Every slice is looked at: a decode must not be shared in the company of prompts either.
void check_sharing(const Slice& slice, const Sequence& sequence, int sp) {
  if (!slice.shared) return;
  const Semantics& sharing = semantics_of(Primitive::sp, Module::scores, phase_of(slice, sequence));
  require(sharing.applies, "sequence {}: {}", slice.sequence,
          sharing.applies ? "" : refusal(sharing, std::to_string(sp)));
}

}  // namespace

ComputePhase phase_of(const Slice& slice, const Sequence& sequence) {
  return sequence.decoding && !slice.starts ? ComputePhase::decode : ComputePhase::prefill;
}

StepPart part_of_step(std::span<const Slice> slices, const Scheduler& scheduler,
                      std::int64_t block_tokens, int rank, int sp,
                      const std::function<const Sequence&(std::int64_t)>& sequence_of) {
  std::int64_t table_width = 0;
  for (const Slice& slice : slices) {
    const auto kv_blocks =
        static_cast<std::int64_t>(scheduler.blocks_of(slice.sequence, rank).size());
    table_width = std::max(table_width, kv_blocks);
  }
  Builder builder(block_tokens, table_width);
  std::vector<std::vector<std::int32_t>> shared(static_cast<std::size_t>(sp));
  StepPart part;
  for (std::size_t i = 0; i < slices.size(); ++i) {
    const Slice& slice = slices[i];
    const Sequence& sequence = sequence_of(slice.sequence);
    check_sharing(slice, sequence, sp);
    // The row of a token yields the one behind it.
    const std::vector<std::int64_t> positions = sequence.wanted(slice.begin, slice.count);
    std::vector<std::int64_t> wanted;
    for (const std::int64_t position : positions) wanted.push_back(position - 1 - slice.begin);
    const std::vector<BlockId>& kv_blocks = scheduler.blocks_of(slice.sequence, rank);
    const std::vector<std::int32_t> rows =
        add_runs(slice, wanted, sequence, kv_blocks, rank, sp, builder);
    for (std::size_t k = 0; k < wanted.size(); ++k) {
      part.samples.push_back({i, positions[k], owner_of(slice, wanted[k], sp), rows[k]});
    }
    if (!slice.shared) continue;
    for (int other = 0; other < sp; ++other) {
      for (const Range& run : causal_rows(slice.count, sp, other)) {
        for (std::int64_t row = run.begin; row < run.end; ++row) {
          shared[static_cast<std::size_t>(other)].push_back(
              builder.slot(slice.begin + row, kv_blocks));
        }
      }
    }
  }
  part.batch = builder.take();
  for (const std::vector<std::int32_t>& slots : shared) {
    part.batch.shared.rows_of.push_back(static_cast<std::int64_t>(slots.size()));
    part.batch.shared.slots.insert(part.batch.shared.slots.end(), slots.begin(), slots.end());
  }
  return part;
}

}  // namespace weft
