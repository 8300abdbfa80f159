#include "model/vocabulary.h"

#include <algorithm>
#include <cstring>

#include "base/error.h"

namespace weft {
namespace {

struct Sizes {
  Bytes maxima = 0;    ///< values of one kind, [R, own blocks] of 4 bytes
  Bytes host = 0;      ///< [R, own vocabulary] f32
  Bytes received = 0;  ///< [R, vocabulary] f32, only when ranks share the vocabulary
  Bytes rows = 0;      ///< [R, vocabulary] f32
};

Sizes sizes_of(const Partition& part, std::int64_t max_rows) {
  const auto rows = static_cast<Bytes>(max_rows) * sizeof(float);
  const std::int64_t own_blocks = ceil_div(part.shard.vocab.size(), kVocabBlock);
  const Bytes all = rows * static_cast<Bytes>(part.config.vocab);
  return {rows * static_cast<Bytes>(own_blocks), rows * static_cast<Bytes>(part.shard.vocab.size()),
          part.ranks > 1 ? all : 0, all};
}

/// The best candidate of one block.
struct Candidate {
  float value = 0;
  TokenId token = 0;
};

}  // namespace

Vocabulary::Vocabulary(const Partition& part, std::int64_t max_rows, Ops& ops, Group& group)
    : ops_(ops),
      group_(group),
      rank_(part.rank),
      vocab_(part.config.vocab),
      blocks_(ceil_div(part.config.vocab, kVocabBlock)),
      max_rows_(max_rows),
      columns_of_(vocabulary_ranges(part)) {
  for (const Range& columns : columns_of_) {
    blocks_of_.push_back(
        {ceil_div(columns.begin, kVocabBlock), ceil_div(columns.end, kVocabBlock)});
  }
  const Sizes sizes = sizes_of(part, max_rows);
  maxima_ = Buffer(ops.memory(), sizes.maxima);
  columns_ = Buffer(ops.memory(), sizes.maxima);
  host_ = Buffer(ops.memory(), sizes.host);
  received_ = Buffer(ops.memory(), sizes.received);
  rows_ = Buffer(ops.memory(), sizes.rows);
}

Bytes Vocabulary::bytes(const Partition& part, std::int64_t max_rows) {
  const Sizes sizes = sizes_of(part, max_rows);
  return 2 * sizes.maxima + sizes.host + sizes.received + sizes.rows;
}

std::vector<TokenId> Vocabulary::argmax(const Tensor& logits) {
  const std::int64_t rows = logits.rows();
  const Range own = columns_of_[static_cast<std::size_t>(rank_)];
  std::vector<Candidate> mine(static_cast<std::size_t>(rows));
  if (own_blocks() > 0) {
    const Tensor values = maxima_.tensor(DType::f32, {rows, own_blocks()});
    const Tensor columns = columns_.tensor(DType::i32, {rows, own_blocks()});
    ops_.block_maxima(logits, values, columns);
    std::vector<float> value(static_cast<std::size_t>(values.elements()));
    std::vector<std::int32_t> column(value.size());
    ops_.download(values, std::as_writable_bytes(std::span(value)));
    ops_.download(columns, std::as_writable_bytes(std::span(column)));
    for (std::size_t row = 0; row < mine.size(); ++row) {
      const std::size_t first = row * static_cast<std::size_t>(own_blocks());
      std::size_t best = first;
      for (std::size_t i = first + 1; i < first + static_cast<std::size_t>(own_blocks()); ++i) {
        if (value[i] > value[best]) best = i;
      }
      mine[row] = {value[best], static_cast<TokenId>(own.begin + column[best])};
    }
  }
  std::vector<Candidate> all(mine.size() * static_cast<std::size_t>(group_.size()));
  group_.all_gather(std::as_bytes(std::span(mine)), std::as_writable_bytes(std::span(all)),
                    equal_counts(group_, mine.size() * sizeof(Candidate)));
  std::vector<TokenId> tokens;
  for (std::size_t row = 0; row < mine.size(); ++row) {
    const Candidate* best = nullptr;
    for (std::size_t rank = 0; rank < columns_of_.size(); ++rank) {
      if (columns_of_[rank].empty()) continue;
      const Candidate& candidate = all[rank * mine.size() + row];
      if (best == nullptr || candidate.value > best->value) best = &candidate;
    }
    require(best != nullptr, "no rank holds any of the vocabulary");
    tokens.push_back(best->token);
  }
  return tokens;
}

std::vector<Digest> Vocabulary::block_digests(const Tensor& logits) {
  const auto rows = static_cast<std::size_t>(logits.rows());
  const auto width = static_cast<std::size_t>(columns_of_[static_cast<std::size_t>(rank_)].size());
  std::vector<Digest> mine;
  if (width > 0) {
    const std::span<std::byte> host(host_.data(), logits.bytes());
    ops_.download(logits, host);
    constexpr std::size_t kBlockBytes = kVocabBlock * sizeof(float);
    for (std::size_t row = 0; row < rows; ++row) {
      const auto values = host.subspan(row * width * sizeof(float), width * sizeof(float));
      for (std::size_t at = 0; at < values.size(); at += kBlockBytes) {
        mine.push_back(digest_of(values.subspan(at, std::min(kBlockBytes, values.size() - at))));
      }
    }
  }
  std::vector<Bytes> counts;
  for (const Range& blocks : blocks_of_) {
    counts.push_back(rows * static_cast<Bytes>(blocks.size()) * sizeof(Digest));
  }
  std::vector<Digest> all(rows * static_cast<std::size_t>(blocks_));
  group_.all_gather(std::as_bytes(std::span(mine)), std::as_writable_bytes(std::span(all)), counts);
  // From rank by rank to row by row.
  std::vector<Digest> ordered;
  for (std::size_t row = 0; row < rows; ++row) {
    std::size_t rank_first = 0;
    for (const Range& blocks : blocks_of_) {
      const auto count = static_cast<std::size_t>(blocks.size());
      const auto first = all.begin() + static_cast<std::ptrdiff_t>(rank_first + row * count);
      ordered.insert(ordered.end(), first, first + static_cast<std::ptrdiff_t>(count));
      rank_first += rows * count;
    }
  }
  return ordered;
}

std::span<const float> Vocabulary::gather(const Tensor& logits,
                                          std::span<const std::int32_t> rows) {
  require(static_cast<std::int64_t>(rows.size()) <= max_rows_, "{} rows gathered, room for {}",
          rows.size(), max_rows_);
  const Bytes width =
      static_cast<Bytes>(columns_of_[static_cast<std::size_t>(rank_)].size()) * sizeof(float);
  for (std::size_t i = 0; i < rows.size() && width > 0; ++i) {
    ops_.download(logits.slice(rows[i], rows[i] + 1), {host_.data() + i * width, width});
  }
  const auto count = static_cast<Bytes>(rows.size());
  const Bytes row_bytes = static_cast<Bytes>(vocab_) * sizeof(float);
  const std::span<const float> result(reinterpret_cast<const float*>(rows_.data()),
                                      rows.size() * static_cast<std::size_t>(vocab_));
  if (group_.size() == 1) {
    if (count > 0) std::memcpy(rows_.data(), host_.data(), count * row_bytes);
    return result;
  }
  std::vector<Bytes> counts;
  for (const Range& columns : columns_of_) {
    counts.push_back(count * static_cast<Bytes>(columns.size()) * sizeof(float));
  }
  group_.all_gather({host_.data(), count * width}, {received_.data(), received_.bytes()}, counts);
  const std::byte* from = received_.data();
  for (const Range& columns : columns_of_) {
    const Bytes bytes = static_cast<Bytes>(columns.size()) * sizeof(float);
    for (Bytes row = 0; row < count; ++row, from += bytes) {
      std::byte* to =
          rows_.data() + row * row_bytes + static_cast<Bytes>(columns.begin) * sizeof(float);
      if (bytes > 0) std::memcpy(to, from, bytes);
    }
  }
  return result;
}

}  // namespace weft
