#include "base/buffer.h"

#include <sys/mman.h>

#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <cstring>

namespace weft {
namespace {

constexpr Bytes kHugePage = Bytes{2} << 20;

Bytes round_up_bytes(Bytes bytes, Bytes unit) { return (bytes + unit - 1) / unit * unit; }

}  // namespace

void* Memory::allocate(Bytes bytes) {
  void* const data = take(bytes);
  in_use_ += bytes;
  peak_ = std::max(peak_, in_use_);
  return data;
}

void Memory::release(void* data, Bytes bytes) noexcept {
  give(data, bytes);
  in_use_ -= bytes;
}

namespace {

/// Zero pages of the kernel on a 2 MiB boundary; they cost nothing until they are touched.
void* map_huge(Bytes rounded) {
  void* const area = mmap(nullptr, rounded + kHugePage, PROT_READ | PROT_WRITE,
                          MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (area == MAP_FAILED) return nullptr;
  auto* const begin = static_cast<std::byte*>(area);
  const Bytes lead = round_up_bytes(reinterpret_cast<std::uintptr_t>(begin), kHugePage) -
                     reinterpret_cast<std::uintptr_t>(begin);
  if (lead > 0) munmap(begin, lead);
  if (lead < kHugePage) munmap(begin + lead + rounded, kHugePage - lead);
  // A request only: without huge pages everything works, more slowly.
  (void)madvise(begin + lead, rounded, MADV_HUGEPAGE);
  return begin + lead;
}

}  // namespace

void* HostMemory::take(Bytes bytes) {
  void* data = nullptr;
  if (bytes >= kHugePage) {
    data = map_huge(round_up_bytes(bytes, kHugePage));
  } else {
    const Bytes rounded = round_up_bytes(std::max<Bytes>(bytes, 1), 64);
    data = std::aligned_alloc(64, rounded);
    if (data != nullptr) std::memset(data, 0, rounded);
  }
  if (data == nullptr) fail("out of host memory: {} bytes asked for", bytes);
  return data;
}

void HostMemory::give(void* data, Bytes bytes) noexcept {
  if (bytes >= kHugePage) {
    munmap(data, round_up_bytes(bytes, kHugePage));
  } else {
    std::free(data);
  }
}

}  // namespace weft
