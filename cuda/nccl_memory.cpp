#include "cuda/nccl_memory.h"

#include <algorithm>
#include <vector>

#include "base/error.h"

namespace weft {
namespace {

constexpr std::int64_t kWindowAlignment = 4096;

}  // namespace

/// Windows are equally large on all ranks.
Bytes NcclMemory::most_of(Bytes bytes) {
  std::vector<Bytes> all(static_cast<std::size_t>(group_.size()));
  group_.all_gather(std::as_bytes(std::span(&bytes, 1)), std::as_writable_bytes(std::span(all)),
                    equal_counts(group_, sizeof bytes));
  return *std::max_element(all.begin(), all.end());
}

void* NcclMemory::take(Bytes bytes) {
  require(!ops_.recording(), "memory for messages is taken while work is recorded");
  const auto whole = round_up(static_cast<std::int64_t>(most_of(bytes)), kWindowAlignment);
  void* data = nullptr;
  taken_.reserve(taken_.size() + 1);
  const ncclResult_t result = api_.MemAlloc(&data, static_cast<Bytes>(whole));
  if (result != ncclSuccess) {
    fail("{} bytes for messages: ncclMemAlloc: {}", bytes, api_.GetErrorString(result));
  }
  taken_.push_back(data);
  comm_.open_window(data, static_cast<Bytes>(whole));
  pieces_.add(data, bytes);
  ops_.clear(Tensor(data, DType::i32, {whole / 4}));
  return data;
}

void NcclMemory::give(void* data, Bytes /*bytes*/) noexcept { pieces_.remove(data); }

NcclMemory::~NcclMemory() {
  for (void* const data : taken_) (void)api_.MemFree(data);
}

}  // namespace weft
