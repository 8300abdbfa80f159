#include "cuda/platform/emulated_runtime.h"

#include <sys/mman.h>

#include <algorithm>
#include <cstring>

#include "base/dtype.h"
#include "base/error.h"

namespace weft::emulated {
namespace {

constexpr Bytes kArena = Bytes{4} << 30;  // of addresses; memory is taken when touched
constexpr Bytes kAlignment = 256;

Bytes rounded(Bytes bytes) { return (bytes + kAlignment - 1) / kAlignment * kAlignment; }

class LoopProducts final : public LibraryProducts {
 public:
  LoopProducts(EmulatedStream& stream, DeviceMemory& memory) : stream_(stream), memory_(memory) {}

  void multiply(const LibraryProduct& product, std::byte* /*workspace*/, Bytes /*bytes*/) override {
    stream_.ask([this, product] { compute(product); });
  }

 private:
  void compute(const LibraryProduct& p) {
    const Opened opened(memory_);
    for (std::int64_t row = 0; row < p.rows; ++row) {
      for (std::int64_t output = 0; output < p.outputs; ++output) {
        float sum = 0;
        for (std::int64_t k = 0; k < p.depth; ++k) {
          sum += f32_from_bf16(p.x[row * p.x_stride + k]) *
                 f32_from_bf16(p.w[output * p.w_stride + k]);
        }
        p.out[row * p.outputs + output] = sum;
      }
    }
  }

  EmulatedStream& stream_;
  DeviceMemory& memory_;
};

}  // namespace

DeviceMemory::DeviceMemory(bool guarded) : guarded_(guarded) {
  void* const area = mmap(nullptr, kArena, guarded ? PROT_NONE : PROT_READ | PROT_WRITE,
                          MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  require(area != MAP_FAILED, "mmap: {}", errno_text());
  base_ = static_cast<std::byte*>(area);
  free_.emplace(0, kArena);
}

DeviceMemory::~DeviceMemory() { munmap(base_, kArena); }

void DeviceMemory::open() noexcept {
  if (guarded_) mprotect(base_, kArena, PROT_READ | PROT_WRITE);
}
void DeviceMemory::close() noexcept {
  if (guarded_) mprotect(base_, kArena, PROT_NONE);
}

void* DeviceMemory::take(Bytes bytes) {
  require(!frozen_, "device memory is taken while work is recorded");
  // One unit lies between allocations, so that the end of one is not the beginning of the next.
  const Bytes size = rounded(bytes) + kAlignment;
  for (auto piece = free_.begin(); piece != free_.end(); ++piece) {
    if (piece->second < size) continue;
    const Bytes offset = piece->first;
    const Bytes left = piece->second - size;
    free_.erase(piece);
    if (left > 0) free_.emplace(offset + size, left);
    const Opened opened(*this);
    std::memset(base_ + offset, 0, bytes);
    pieces_.add(base_ + offset, bytes);
    return base_ + offset;
  }
  fail("out of emulated device memory: {} bytes asked for", bytes);
}

void DeviceMemory::give(void* data, Bytes bytes) noexcept {
  pieces_.remove(data);
  const auto offset = static_cast<Bytes>(static_cast<std::byte*>(data) - base_);
  auto piece = free_.emplace(offset, rounded(bytes) + kAlignment).first;
  const auto next = std::next(piece);
  if (next != free_.end() && piece->first + piece->second == next->first) {
    piece->second += next->second;
    free_.erase(next);
  }
  if (piece == free_.begin()) return;
  const auto previous = std::prev(piece);
  if (previous->first + previous->second != piece->first) return;
  previous->second += piece->second;
  free_.erase(piece);
}

std::unique_ptr<LibraryProducts> Runtime::blas_products() {
  return fast_ ? std::make_unique<LoopProducts>(*this, memory_) : nullptr;
}

void Runtime::step_of_host(const char* what) {
  require(!recording(), "{} while work is recorded", what);
  ++host_steps_;
}

void Runtime::wait() {
  catch_up();
  Mark all;
  set(all);
  wait_for(all);
}

void Runtime::start_copy_out(const void* from, void* to, Bytes bytes) {
  step_of_host("a copy from the device");
  catch_up();
  auto* const end = static_cast<std::byte*>(to) + bytes;
  for (const Arrival& other : arrivals_) {
    require(end <= other.to || to >= other.to + other.bytes.size(),
            "a copy to where another one is on its way");
  }
  Arrival& arrival = arrivals_.emplace_back();
  arrival.to = static_cast<std::byte*>(to);
  const Opened opened(memory_);
  arrival.bytes.assign(static_cast<const std::byte*>(from),
                       static_cast<const std::byte*>(from) + bytes);
  std::memset(to, 0x5A, bytes);
}

void Runtime::set(Mark& mark) {
  step_of_host("a mark");
  mark = {arrived_ + arrivals_.size(), clock_.so_far()};
}

void Runtime::wait_for(const Mark& mark) {
  step_of_host("waiting");
  catch_up();
  for (; arrived_ < mark.copies; ++arrived_, arrivals_.pop_front()) {
    const Arrival& arrival = arrivals_.front();
    std::copy(arrival.bytes.begin(), arrival.bytes.end(), arrival.to);
  }
  clock_.wait_for(mark.clock_marks);
}

void Runtime::copy_in(const void* from, void* to, Bytes bytes) {
  step_of_host("a copy to the device");
  catch_up();
  copy_across(from, to, bytes);
}
void Runtime::copy_in_later(const void* from, void* to, Bytes bytes) {
  step_of_host("a copy to the device");
  const std::lock_guard lock(late_mutex_);
  late_.push_back([=, this] {
    const Opened opened(memory_);
    if (bytes > 0) std::memcpy(to, from, bytes);
  });
}
void Runtime::copy_out(const void* from, void* to, Bytes bytes) {
  step_of_host("a copy from the device");
  copy_across(from, to, bytes);
  wait();
}
void Runtime::copy_across(const void* from, void* to, Bytes bytes) {
  ask([=, this] {
    const Opened opened(memory_);
    if (bytes > 0) std::memmove(to, from, bytes);
  });
}
void Runtime::clear(void* to, Bytes bytes) {
  ask([=, this] {
    const Opened opened(memory_);
    if (bytes > 0) std::memset(to, 0, bytes);
  });
}

void Runtime::ask(std::function<void()> work) {
  if (recording()) {
    recording_->push_back(std::move(work));
    return;
  }
  {
    const std::lock_guard lock(late_mutex_);
    if (!late_.empty()) {
      late_.push_back(std::move(work));
      return;
    }
  }
  work();
}

void Runtime::catch_up(std::int64_t until) {
  const std::lock_guard lock(late_mutex_);
  for (; !late_.empty() && late_done_ < until; ++late_done_) {
    const std::function<void()> work = std::move(late_.front());
    late_.pop_front();
    work();
  }
}

class Runtime::LateFence final : public Fence {
 public:
  explicit LateFence(Runtime& runtime) : runtime_(runtime) {}
  void set() override {
    const std::lock_guard lock(runtime_.late_mutex_);
    behind_ = runtime_.late_done_ + static_cast<std::int64_t>(runtime_.late_.size());
  }
  void wait() override { runtime_.catch_up(behind_); }

 private:
  Runtime& runtime_;
  std::int64_t behind_ = 0;
};

std::unique_ptr<Fence> Runtime::make_fence() { return std::make_unique<LateFence>(*this); }

void Runtime::begin_recording() {
  require(!recording(), "a recording within a recording");
  catch_up();
  recording_.emplace();
  memory_.freeze(true);
  clock_.record(true);
}

Recording Runtime::end_recording() {
  Recording recording = std::move(*recording_);
  abandon_recording();
  return recording;
}

void Runtime::abandon_recording() noexcept {
  recording_.reset();
  memory_.freeze(false);
  clock_.record(false);
}

void Runtime::replay(const Recording& recording) {
  require(!this->recording(), "a replay while work is recorded");
  catch_up();
  for (const auto& work : recording) work();
}

}  // namespace weft::emulated
