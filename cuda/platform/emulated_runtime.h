// cuda/platform/runtime.h on the host: a device that is a piece of the host's memory.
#pragma once

#include <cstddef>
#include <deque>
#include <functional>
#include <limits>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "base/buffer.h"
#include "base/device_clock.h"
#include "base/error.h"
#include "base/fence.h"
#include "cuda/emulated/emulated_ops.h"
#include "cuda/gpu_ops.h"
#include "cuda/ops/library_products.h"
#include "cuda/platform/emulator.h"
#include "cuda/platform/grid.h"
#include "cuda/platform/pieces.h"

namespace weft::emulated {

/// Device memory: one reserved piece of address space, out of which allocations are cut. With
/// `guarded`, host code that touches it dies of SIGSEGV, as it would with a GPU's memory; kernels
/// and copies open it.
class DeviceMemory final : public Memory {
 public:
  explicit DeviceMemory(bool guarded);
  ~DeviceMemory() override;

  [[nodiscard]] bool owns(std::span<const std::byte> bytes) const { return pieces_.hold(bytes); }
  void open() noexcept;
  void close() noexcept;
  /// While it holds, nothing can be taken.
  void freeze(bool frozen) { frozen_ = frozen; }

 private:
  void* take(Bytes bytes) override;
  void give(void* data, Bytes bytes) noexcept override;

  bool guarded_;
  bool frozen_ = false;
  std::byte* base_ = nullptr;
  std::map<Bytes, Bytes> free_;  ///< offset -> size
  Pieces pieces_;
};

/// While it lives, the host may touch the device's memory.
class Opened {
 public:
  explicit Opened(DeviceMemory& memory) : memory_(memory) { memory_.open(); }
  Opened(const Opened&) = delete;
  Opened& operator=(const Opened&) = delete;
  ~Opened() { memory_.close(); }

 private:
  DeviceMemory& memory_;
};

/// Counts launches, each a microsecond. Marks are passed when the host waits, as late as may be;
/// those that are set during a recording together with the one before them. None is seen passed
/// meanwhile.
class LaunchClock final : public DeviceClock {
 public:
  void launch() { gap_ += 1000; }
  void record(bool recording) { recording_ = recording; }
  void mark() override { set_.push_back(recording_ ? 0 : std::exchange(gap_, 0)); }
  void wait() { wait_for(set_.size() + gone_); }
  /// Marks that were set since the beginning.
  [[nodiscard]] std::size_t so_far() const { return set_.size() + gone_; }
  /// For the first marks, counted from the beginning.
  void wait_for(std::size_t marks) {
    if (marks <= gone_) return;
    const auto end = set_.begin() + static_cast<std::ptrdiff_t>(marks - gone_);
    passed_.insert(passed_.end(), set_.begin(), end);
    set_.erase(set_.begin(), end);
    gone_ = marks;
  }
  void read(std::vector<std::int64_t>& gaps) override {
    if (recording_) return;
    gaps.insert(gaps.end(), passed_.begin(), passed_.end());
    passed_.clear();
  }

 private:
  std::int64_t gap_ = 0;
  bool recording_ = false;
  std::vector<std::int64_t> set_;
  std::size_t gone_ = 0;  ///< marks that the host has waited for
  std::vector<std::int64_t> passed_;
};

/// Shared memory that a block can have on Hopper.
inline constexpr Bytes kHopperShared = Bytes{227} << 10;

/// What to emulate.
struct RuntimeOptions {
  GpuOptions gpu;
  bool guarded = false;
};

/// A point of the stream that the host can wait for.
struct Mark {
  std::size_t copies = 0;       ///< to the host, started before it
  std::size_t clock_marks = 0;  ///< set before it
};

/// Work that can be done again: each kernel, copy or function with its arguments as they were.
using Recording = std::vector<std::function<void()>>;

class Runtime final : public EmulatedStream {
 public:
  explicit Runtime(const RuntimeOptions& options)
      : multiprocessors_(options.gpu.multiprocessors > 0 ? options.gpu.multiprocessors : 4),
        scratch_bytes_(options.gpu.scratch),
        shared_bytes_(options.gpu.shared > 0 ? options.gpu.shared : kHopperShared),
        fast_(options.gpu.fast),
        memory_(options.guarded) {}

  [[nodiscard]] Memory& memory() { return memory_; }
  [[nodiscard]] Memory& host_memory() { return host_memory_; }
  [[nodiscard]] bool owns(std::span<const std::byte> bytes) const { return memory_.owns(bytes); }
  /// In `numerics: fast`, what computes products of many rows; null otherwise.
  [[nodiscard]] std::unique_ptr<LibraryProducts> blas_products();
  [[nodiscard]] int multiprocessors() const { return multiprocessors_; }
  [[nodiscard]] std::string description() const { return "cuda emulated"; }

  void enter_thread() const {}
  void copy_in(const void* from, void* to, Bytes bytes);
  /// The copy happens as late as it may, and what is asked for behind it as late: when a fence that
  /// was set afterwards is waited for, or the host waits for the device. Any thread, one at a time.
  void copy_in_later(const void* from, void* to, Bytes bytes);
  [[nodiscard]] std::unique_ptr<Fence> make_fence();
  void copy_out(const void* from, void* to, Bytes bytes);
  /// Until the host waits for them, the bytes there are no use. Throws Error
  /// where others are on their way to the same place.
  void start_copy_out(const void* from, void* to, Bytes bytes);
  void set(Mark& mark);
  void wait_for(const Mark& mark);
  void copy_across(const void* from, void* to, Bytes bytes);
  void clear(void* to, Bytes bytes);
  void wait();
  [[nodiscard]] DeviceClock& clock() { return clock_; }
  [[nodiscard]] EmulatedStream* stream() const { return stream_; }
  /// Shared memory that a block can have.
  [[nodiscard]] std::size_t shared_bytes() const { return shared_bytes_; }
  /// What operators may take for themselves.
  [[nodiscard]] Bytes scratch_bytes() const { return scratch_bytes_; }

  template <class Kernel>
  void launch(const char* name, const Grid& grid, int threads, std::size_t shared_bytes,
              const Kernel& kernel) {
    if (grid.blocks() == 0) return;
    require(shared_bytes <= shared_bytes_, "{}: {} bytes of shared memory", name, shared_bytes);
    ask([=, this] {
      const Opened opened(memory_);
      clock_.launch();
      run(name, grid, threads, shared_bytes, [&] {
        if constexpr (!kWaitsItself<Kernel>) note_waited();
        kernel();
        check_waited(name);
      });
    });
  }

  /// Work of others on the stream: done now, or recorded.
  void ask(std::function<void()> work) override;

  /// From here on, work is stored instead of done; until `end_recording`. Copies between host and
  /// device, waiting and taking memory are errors meanwhile.
  void begin_recording();
  Recording end_recording();
  /// The work that was stored is forgotten.
  void abandon_recording() noexcept;
  [[nodiscard]] bool recording() const { return recording_.has_value(); }
  void replay(const Recording& recording);

  /// Copies between host and device and waits so far: what can be recorded has none.
  [[nodiscard]] std::int64_t host_steps() const { return host_steps_; }
  /// What is asked for next must not begin before the work of others in front of it has ended.
  void note_foreign() const {}

 private:
  /// Bytes as they were when the stream came by, which the host does not have yet.
  struct Arrival {
    std::byte* to = nullptr;
    std::vector<std::byte> bytes;
  };

  class LateFence;

  void step_of_host(const char* what);
  /// Does the late work in front of the point `until`, or all of it.
  void catch_up(std::int64_t until = std::numeric_limits<std::int64_t>::max());

  int multiprocessors_;
  Bytes scratch_bytes_;
  std::size_t shared_bytes_;
  bool fast_;
  DeviceMemory memory_;
  HostMemory host_memory_;
  LaunchClock clock_;
  EmulatedStream* stream_ = this;
  std::optional<Recording> recording_;
  std::int64_t host_steps_ = 0;
  std::deque<Arrival> arrivals_;  ///< oldest first
  std::size_t arrived_ = 0;       ///< those before them
  std::mutex late_mutex_;
  std::deque<std::function<void()>> late_;
  std::int64_t late_done_ = 0;
};

}  // namespace weft::emulated
