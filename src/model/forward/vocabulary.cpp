#include "model/forward/vocabulary.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <utility>

#include "base/error.h"
#include "model/forward/rank_candidates.h"
#include "ops/non_finite.h"
#include "ops/ops.h"

namespace weft {
namespace {

/// Single logits that are read or written in one call of the operators.
constexpr std::int64_t kElements = 4096;

struct Sizes {
  Bytes by_block = 0;  ///< values of one kind, [R, own blocks] of 4 bytes
  Bytes query = 0;     ///< four values for each row
  Bytes elements = 0;
  Bytes blocks = 0;  ///< whole blocks of columns, one for each row, and which they are
};

Sizes sizes_of(std::int64_t own_columns, std::int64_t max_rows) {
  const auto rows = static_cast<Bytes>(max_rows) * sizeof(float);
  return {rows * static_cast<Bytes>(ceil_div(own_columns, kVocabBlock)), 4 * rows,
          3 * kElements * sizeof(float), rows * static_cast<Bytes>(kVocabBlock + 2)};
}

/// Rows, columns and values of up to kElements logits in the operators' memory.
struct ElementTensors {
  ElementTensors(const Buffer& buffer, std::int64_t count)
      : rows(buffer.data(), DType::i32, {count}),
        columns(buffer.data() + kElements * sizeof(float), DType::i32, {count}),
        values(buffer.data() + 2 * kElements * sizeof(float), DType::f32, {count}) {}
  Tensor rows;
  Tensor columns;
  Tensor values;
};

template <class T>
std::span<const std::byte> bytes_of(const std::vector<T>& values) {
  return std::as_bytes(std::span(values));
}

}  // namespace

Vocabulary::Vocabulary(const Partition& part, std::int64_t max_rows, Ops& ops, Group& group)
    : Vocabulary(vocabulary_ranges(part), max_rows, ops, group) {}

Vocabulary::Vocabulary(std::vector<Range> columns_of, std::int64_t max_rows, Ops& ops, Group& group)
    : ops_(ops),
      group_(group),
      rank_(group.rank()),
      vocab_(columns_of.back().end),
      blocks_(ceil_div(columns_of.back().end, kVocabBlock)),
      max_rows_(max_rows),
      columns_of_(std::move(columns_of)) {
  for (const Range& columns : columns_of_) {
    blocks_of_.push_back(
        {ceil_div(columns.begin, kVocabBlock), ceil_div(columns.end, kVocabBlock)});
  }
  const Sizes sizes = sizes_of(own().size(), max_rows);
  maxima_ = Buffer(ops.memory(), sizes.by_block);
  columns_ = Buffer(ops.memory(), sizes.by_block);
  weight_sums_ = Buffer(ops.memory(), sizes.by_block);
  query_ = Buffer(ops.memory(), sizes.query);
  elements_ = Buffer(ops.memory(), sizes.elements);
  gathered_ = Buffer(ops.memory(), sizes.blocks);
  if (ops.sampler() != nullptr) {
    sampled_ = std::make_unique<DeviceSampling>(columns_of_, max_rows, ops, group);
  }
}

Bytes Vocabulary::bytes(const Partition& part, std::int64_t max_rows, const OpSizes& ops) {
  const Sizes sizes = sizes_of(part.shard.vocab.size(), max_rows);
  return 3 * sizes.by_block + sizes.query + sizes.elements + sizes.blocks +
         DeviceSampling::bytes(vocabulary_ranges(part), part.rank, max_rows, ops);
}

std::size_t Vocabulary::owner_of(TokenId token) const {
  for (std::size_t rank = 0; rank < columns_of_.size(); ++rank) {
    if (columns_of_[rank].contains(token)) return rank;
  }
  fail("token {} is outside the vocabulary of {}", token, vocab_);
}

std::vector<TokenId> Vocabulary::argmax(const Tensor& logits, std::vector<bool>* finite) {
  const std::int64_t rows = logits.rows();
  std::vector<RankCandidate> mine(static_cast<std::size_t>(rows));
  own_maxima_.resize(static_cast<std::size_t>(rows * own_blocks()));
  if (own_blocks() > 0) {
    const Tensor values = maxima_.tensor(DType::f32, {rows, own_blocks()});
    const Tensor columns = columns_.tensor(DType::i32, {rows, own_blocks()});
    ops_.block_maxima(logits, values, columns);
    std::vector<std::int32_t> column(own_maxima_.size());
    ops_.download(values, std::as_writable_bytes(std::span(own_maxima_)));
    ops_.download(columns, std::as_writable_bytes(std::span(column)));
    for (std::size_t row = 0; row < mine.size(); ++row) {
      const std::size_t first = row * static_cast<std::size_t>(own_blocks());
      std::size_t best = first;
      bool odd = hostdevice::is_marked(column[first]);
      for (std::size_t i = first + 1; i < first + static_cast<std::size_t>(own_blocks()); ++i) {
        if (own_maxima_[i] > own_maxima_[best]) best = i;
        odd = odd || hostdevice::is_marked(column[i]);
      }
      const auto token = static_cast<TokenId>(own().begin + hostdevice::unmarked(column[best]));
      mine[row] = {own_maxima_[best], hostdevice::marked_if(odd, token)};
    }
  }
  std::vector<TokenId> tokens;
  if (finite != nullptr) finite->clear();
  for (const RankCandidate& best : best_of_ranks(mine, columns_of_, group_)) {
    tokens.push_back(hostdevice::unmarked(best.token));
    if (finite != nullptr) finite->push_back(!hostdevice::is_marked(best.token));
  }
  return tokens;
}

std::vector<float> Vocabulary::by_block(std::span<const std::int32_t> rows,
                                        std::span<const float> own_values) {
  const auto width = static_cast<std::size_t>(own_blocks());
  std::vector<float> mine;
  mine.reserve(rows.size() * width);
  for (const std::int32_t row : rows) {
    const auto values = own_values.subspan(static_cast<std::size_t>(row) * width, width);
    mine.insert(mine.end(), values.begin(), values.end());
  }
  if (group_.size() == 1) return mine;
  std::vector<Bytes> counts;
  for (const Range& blocks : blocks_of_) {
    counts.push_back(rows.size() * static_cast<Bytes>(blocks.size()) * sizeof(float));
  }
  std::vector<float> all(rows.size() * static_cast<std::size_t>(blocks_));
  group_.all_gather(bytes_of(mine), std::as_writable_bytes(std::span(all)), counts);
  // From rank by rank to row by row.
  std::vector<float> ordered(all.size());
  const float* from = all.data();
  for (const Range& blocks : blocks_of_) {
    for (std::size_t row = 0; row < rows.size(); ++row, from += blocks.size()) {
      std::copy_n(from, blocks.size(),
                  ordered.begin() + static_cast<std::ptrdiff_t>(row) * blocks_ + blocks.begin);
    }
  }
  return ordered;
}

std::vector<float> Vocabulary::maxima(std::span<const std::int32_t> rows) {
  return by_block(rows, own_maxima_);
}

std::vector<float> Vocabulary::weight_sums(const Tensor& logits,
                                           std::span<const RowWeightSum> request) {
  const std::int64_t rows = logits.rows();
  require(rows <= max_rows_, "{} rows weighed, room for {}", rows, max_rows_);
  const auto count = static_cast<std::size_t>(rows);
  std::vector<std::int32_t> which;
  which.reserve(request.size());
  for (const RowWeightSum& weight_sum : request) which.push_back(weight_sum.row);
  std::vector<float> own_weight_sums(count * static_cast<std::size_t>(own_blocks()));
  if (own_blocks() > 0) {
    std::vector<float> scales(count);
    std::vector<float> before(count);
    std::vector<float> behind(count);
    std::vector<std::int32_t> splits(count);
    for (const RowWeightSum& weight_sum : request) {
      const auto row = static_cast<std::size_t>(weight_sum.row);
      scales[row] = weight_sum.scale;
      before[row] = weight_sum.before;
      behind[row] = weight_sum.behind;
      splits[row] = static_cast<std::int32_t>(
          std::clamp<std::int64_t>(weight_sum.split - own().begin, 0, own().size()));
    }
    const auto part = [&](std::size_t i, DType dtype) {
      return Tensor(query_.data() + i * static_cast<Bytes>(max_rows_) * sizeof(float), dtype,
                    {rows});
    };
    const WeightSumQuery query{part(0, DType::f32), part(1, DType::f32), part(2, DType::f32),
                               part(3, DType::i32)};
    ops_.upload(bytes_of(scales), query.scales);
    ops_.upload(bytes_of(before), query.before);
    ops_.upload(bytes_of(behind), query.behind);
    ops_.upload(bytes_of(splits), query.splits);
    const Tensor weight_sums = weight_sums_.tensor(DType::f32, {rows, own_blocks()});
    ops_.block_weight_sums(logits, maxima_.tensor(DType::f32, {rows, own_blocks()}), query,
                           weight_sums);
    ops_.download(weight_sums, std::as_writable_bytes(std::span(own_weight_sums)));
  }
  return by_block(which, own_weight_sums);
}

template <class T, class OwnerOf>
std::vector<T> Vocabulary::from_owners(std::span<const T> mine, std::size_t request,
                                       std::size_t width, OwnerOf owner) {
  if (group_.size() == 1) return {mine.begin(), mine.end()};
  std::vector<Bytes> counts(columns_of_.size(), 0);
  for (std::size_t i = 0; i < request; ++i) counts[owner(i)] += width * sizeof(T);
  std::vector<T> all(request * width);
  group_.all_gather(std::as_bytes(mine), std::as_writable_bytes(std::span(all)), counts);
  std::vector<std::size_t> next(counts.size(), 0);  // where each rank's next value lies
  for (std::size_t rank = 1; rank < next.size(); ++rank) {
    next[rank] = next[rank - 1] + counts[rank - 1] / sizeof(T);
  }
  std::vector<T> ordered(all.size());
  for (std::size_t i = 0; i < request; ++i) {
    std::size_t& at = next[owner(i)];
    std::copy_n(all.begin() + static_cast<std::ptrdiff_t>(at), width,
                ordered.begin() + static_cast<std::ptrdiff_t>(i * width));
    at += width;
  }
  return ordered;
}

std::vector<float> Vocabulary::block_values(const Tensor& logits,
                                            std::span<const RowBlock> request) {
  const auto owner = [&](std::size_t i) {
    return owner_of(static_cast<TokenId>(request[i].block * kVocabBlock));
  };
  std::vector<std::int32_t> rows;
  std::vector<std::int32_t> blocks;
  for (const RowBlock& one : request) {
    const std::int64_t first = one.block * kVocabBlock;
    if (!own().contains(first)) continue;
    rows.push_back(one.row);
    blocks.push_back(static_cast<std::int32_t>((first - own().begin) / kVocabBlock));
  }
  constexpr auto kWidth = static_cast<std::size_t>(kVocabBlock);
  const auto most = static_cast<std::size_t>(max_rows_);
  std::vector<float> mine(rows.size() * kWidth);
  for (std::size_t first = 0; first < rows.size(); first += most) {
    const std::size_t n = std::min(most, rows.size() - first);
    const auto count = static_cast<std::int64_t>(n);
    std::byte* const room = gathered_.data();
    const Tensor values(room, DType::f32, {count, kVocabBlock});
    const Tensor of_rows(room + most * kWidth * sizeof(float), DType::i32, {count});
    const Tensor of_blocks(room + most * (kWidth + 1) * sizeof(float), DType::i32, {count});
    ops_.upload(std::as_bytes(std::span(rows).subspan(first, n)), of_rows);
    ops_.upload(std::as_bytes(std::span(blocks).subspan(first, n)), of_blocks);
    ops_.gather_blocks(logits, of_rows, of_blocks, values);
    ops_.download(values,
                  std::as_writable_bytes(std::span(mine).subspan(first * kWidth, n * kWidth)));
  }
  return from_owners<float>(mine, request.size(), static_cast<std::size_t>(kVocabBlock), owner);
}

std::vector<float> Vocabulary::values(const Tensor& logits, std::span<const RowToken> request) {
  std::vector<std::int32_t> rows;
  std::vector<std::int32_t> columns;
  for (const RowToken& place : request) {
    if (!own().contains(place.token)) continue;
    rows.push_back(place.row);
    columns.push_back(static_cast<std::int32_t>(place.token - own().begin));
  }
  std::vector<float> mine(rows.size());
  for (std::size_t first = 0; first < rows.size(); first += kElements) {
    const std::size_t n = std::min<std::size_t>(kElements, rows.size() - first);
    const ElementTensors at(elements_, static_cast<std::int64_t>(n));
    ops_.upload(std::as_bytes(std::span(rows).subspan(first, n)), at.rows);
    ops_.upload(std::as_bytes(std::span(columns).subspan(first, n)), at.columns);
    ops_.get_elements(logits, at.rows, at.columns, at.values);
    ops_.download(at.values, std::as_writable_bytes(std::span(mine).subspan(first, n)));
  }
  return from_owners<float>(mine, request.size(), 1,
                            [&](std::size_t i) { return owner_of(request[i].token); });
}

void Vocabulary::replace(const Tensor& logits, std::span<const RowToken> places,
                         std::span<const float> values) {
  std::vector<std::int32_t> rows;
  std::vector<std::int32_t> columns;
  std::vector<float> mine;
  for (std::size_t i = 0; i < places.size(); ++i) {
    if (!own().contains(places[i].token)) continue;
    rows.push_back(places[i].row);
    columns.push_back(static_cast<std::int32_t>(places[i].token - own().begin));
    mine.push_back(values[i]);
  }
  for (std::size_t first = 0; first < rows.size(); first += kElements) {
    const std::size_t n = std::min<std::size_t>(kElements, rows.size() - first);
    const ElementTensors at(elements_, static_cast<std::int64_t>(n));
    ops_.upload(std::as_bytes(std::span(rows).subspan(first, n)), at.rows);
    ops_.upload(std::as_bytes(std::span(columns).subspan(first, n)), at.columns);
    ops_.upload(std::as_bytes(std::span(mine).subspan(first, n)), at.values);
    ops_.put_elements(at.values, at.rows, at.columns, logits);
  }
}

std::vector<Digest> Vocabulary::row_digests(const Tensor& logits) {
  const auto rows = static_cast<std::size_t>(logits.rows());
  const auto width = static_cast<std::size_t>(own().size());
  std::vector<Digest> mine;
  if (width > 0) {
    std::vector<float> host(width);
    const std::span<std::byte> values = std::as_writable_bytes(std::span(host));
    constexpr std::size_t kBlockBytes = kVocabBlock * sizeof(float);
    for (std::int64_t row = 0; row < logits.rows(); ++row) {
      ops_.download(logits.slice(row, row + 1), values);
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
  group_.all_gather(bytes_of(mine), std::as_writable_bytes(std::span(all)), counts);
  // From rank by rank to row by row.
  std::vector<Digest> digests;
  for (std::size_t row = 0; row < rows; ++row) {
    Digester digester;
    std::size_t rank_first = 0;
    for (const Range& blocks : blocks_of_) {
      const auto count = static_cast<std::size_t>(blocks.size());
      for (std::size_t block = 0; block < count; ++block) {
        digester.add(all[rank_first + row * count + block].hex());
      }
      rank_first += rows * count;
    }
    digests.push_back(digester.result());
  }
  return digests;
}

}  // namespace weft
