// cuda/platform/runtime.h on the host: a device that is a piece of the host's memory.
#pragma once

#include <map>
#include <memory>
#include <string>

#include "base/buffer.h"
#include "cuda/ops/library_products.h"
#include "cuda/platform/emulator.h"
#include "cuda/platform/grid.h"

namespace weft::emulated {

/// Device memory: one reserved piece of address space, out of which allocations are cut. With
/// `guarded`, host code that touches it dies of SIGSEGV, as it would with a GPU's memory; kernels
/// and copies open it.
class DeviceMemory final : public Memory {
 public:
  explicit DeviceMemory(bool guarded);
  ~DeviceMemory() override;

  [[nodiscard]] bool owns(const void* address) const;
  void open() noexcept;
  void close() noexcept;

 private:
  void* take(Bytes bytes) override;
  void give(void* data, Bytes bytes) noexcept override;

  bool guarded_;
  std::byte* base_ = nullptr;
  std::map<Bytes, Bytes> free_;  ///< offset -> size
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

/// What to emulate.
struct RuntimeOptions {
  bool guarded = false;
  int multiprocessors = 4;  ///< what schedules reckon with
  Bytes scratch_bytes = Bytes{8} << 20;
};

class Runtime {
 public:
  explicit Runtime(const RuntimeOptions& options)
      : multiprocessors_(options.multiprocessors),
        scratch_bytes_(options.scratch_bytes),
        memory_(options.guarded) {}

  [[nodiscard]] Memory& memory() { return memory_; }
  [[nodiscard]] Memory& host_memory() { return host_memory_; }
  [[nodiscard]] bool owns(const void* address) const { return memory_.owns(address); }
  /// Straight loops.
  [[nodiscard]] std::unique_ptr<LibraryProducts> library_products();
  [[nodiscard]] int multiprocessors() const { return multiprocessors_; }
  [[nodiscard]] std::string description() const { return "cuda emulated"; }

  void copy_in(const void* from, void* to, Bytes bytes);
  void copy_out(const void* from, void* to, Bytes bytes);
  void copy_across(const void* from, void* to, Bytes bytes);
  void wait() {}
  [[nodiscard]] void* stream() const { return nullptr; }
  /// What operators may take for themselves.
  [[nodiscard]] Bytes scratch_bytes() const { return scratch_bytes_; }

  template <class Kernel>
  void launch(const char* name, const Grid& grid, int threads, std::size_t shared_bytes,
              const Kernel& kernel) {
    if (grid.blocks() == 0) return;
    const Opened opened(memory_);
    run(name, grid, threads, shared_bytes, [&] { kernel(); });
  }

 private:
  int multiprocessors_;
  Bytes scratch_bytes_;
  DeviceMemory memory_;
  HostMemory host_memory_;
};

}  // namespace weft::emulated
