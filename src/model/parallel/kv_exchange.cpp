#include "model/parallel/kv_exchange.h"

#include "base/error.h"
#include "ops/ops.h"

namespace weft {
namespace {

std::int64_t kv_elements(const Partition& part) {
  return 2 * part.heads.kv_heads * part.heads.head_dim;
}

}  // namespace

KvExchange::Sizes KvExchange::sizes_of(const Partition& part, std::int64_t max_rows, int ranks) {
  if (ranks == 1) return {};
  const auto rows = static_cast<Bytes>(max_rows);
  const Bytes row = static_cast<Bytes>(kv_elements(part)) * size_of(part.dtype);
  const auto all = static_cast<Bytes>(ranks);
  return {all * rows * sizeof(std::int32_t), rows * row, all * rows * row};
}

KvExchange::KvExchange(const Partition& part, std::int64_t max_rows, Ops& ops, Group& group)
    : ops_(ops), group_(group), dtype_(part.dtype), row_elements_(kv_elements(part)) {
  const Sizes sizes = sizes_of(part, max_rows, group.size());
  slots_ = Buffer(ops.memory(), sizes.slots);
  send_ = Buffer(ops.memory(), sizes.send);
  receive_ = Buffer(ops.memory(), sizes.receive);
}

Bytes KvExchange::bytes(const Partition& part, std::int64_t max_rows, int ranks) {
  const Sizes sizes = sizes_of(part, max_rows, ranks);
  return sizes.slots + sizes.send + sizes.receive;
}

Bytes KvExchange::message_bytes(const Partition& part, std::int64_t max_rows, int ranks) {
  return sizes_of(part, max_rows, ranks).receive;
}

void KvExchange::begin(const SharedRows& rows) {
  total_ = static_cast<std::int64_t>(rows.slots.size());
  if (total_ == 0) return;
  require(rows.rows_of.size() == static_cast<std::size_t>(group_.size()),
          "shared rows of {} ranks in a group of {}", rows.rows_of.size(), group_.size());
  counts_.clear();
  std::int64_t before = 0;
  for (int rank = 0; rank < group_.size(); ++rank) {
    const std::int64_t count = rows.rows_of[static_cast<std::size_t>(rank)];
    if (rank == group_.rank()) own_ = {before, before + count};
    before += count;
    counts_.push_back(static_cast<Bytes>(count * row_elements_) * size_of(dtype_));
  }
  require(before == total_, "{} slots for {} shared rows", total_, before);
  ops_.upload(std::as_bytes(std::span(rows.slots)), slots_.tensor(DType::i32, {total_}));
}

void KvExchange::exchange(const KvLayer& cache) {
  if (total_ == 0) return;
  const Tensor slots = slots_.tensor(DType::i32, {total_});
  const Tensor mine = send_.tensor(dtype_, {own_.size(), row_elements_});
  const Tensor all = receive_.tensor(dtype_, {total_, row_elements_});
  ops_.read_kv(cache, slots.slice(own_.begin, own_.end), mine);
  group_.all_gather({mine.data(), mine.bytes()}, {all.data(), all.bytes()}, counts_);
  for (const Range others : {Range{0, own_.begin}, Range{own_.end, total_}}) {
    ops_.write_kv(all.slice(others.begin, others.end), slots.slice(others.begin, others.end),
                  cache);
  }
}

}  // namespace weft
