// Owned memory, and the account of how much of it is in use.
#pragma once

#include <cstddef>
#include <utility>

#include "base/tensor.h"
#include "base/types.h"

namespace weft {

/// A place to take memory from: the host's or a device's. It keeps count of what it has handed out,
/// so that the plan can be compared with the truth.
class Memory {
 public:
  Memory() = default;
  Memory(const Memory&) = delete;
  Memory& operator=(const Memory&) = delete;
  virtual ~Memory() = default;

  /// Zero-filled memory, aligned to 64 bytes at least. Throws Error when there is none left.
  void* allocate(Bytes bytes);
  void release(void* data, Bytes bytes) noexcept;

  [[nodiscard]] Bytes in_use() const { return in_use_; }
  [[nodiscard]] Bytes peak() const { return peak_; }

 private:
  virtual void* take(Bytes bytes) = 0;
  virtual void give(void* data, Bytes bytes) noexcept = 0;

  Bytes in_use_ = 0;
  Bytes peak_ = 0;
};

/// The host's memory: large pieces are mapped on 2 MiB boundaries with huge pages asked for.
class HostMemory final : public Memory {
 private:
  void* take(Bytes bytes) override;
  void give(void* data, Bytes bytes) noexcept override;
};

/// Owner of one piece of memory. It must not outlive the Memory that it came from.
class Buffer {
 public:
  Buffer() = default;
  Buffer(Memory& memory, Bytes bytes)
      : memory_(&memory), data_(bytes == 0 ? nullptr : memory.allocate(bytes)), bytes_(bytes) {}
  Buffer(Buffer&& other) noexcept { swap(other); }
  Buffer& operator=(Buffer&& other) noexcept {
    Buffer moved(std::move(other));
    swap(moved);
    return *this;
  }
  Buffer(const Buffer&) = delete;
  Buffer& operator=(const Buffer&) = delete;
  ~Buffer() {
    if (data_ != nullptr) memory_->release(data_, bytes_);
  }

  [[nodiscard]] std::byte* data() const { return static_cast<std::byte*>(data_); }
  [[nodiscard]] Bytes bytes() const { return bytes_; }

  /// The first elements of the buffer as a tensor; throws Error when the shape does not fit.
  [[nodiscard]] Tensor tensor(DType dtype, std::initializer_list<std::int64_t> shape) const {
    const Tensor view(data_, dtype, shape);
    require(view.bytes() <= bytes_, "a tensor of {} bytes in a buffer of {}", view.bytes(), bytes_);
    return view;
  }

 private:
  void swap(Buffer& other) noexcept {
    std::swap(memory_, other.memory_);
    std::swap(data_, other.data_);
    std::swap(bytes_, other.bytes_);
  }

  Memory* memory_ = nullptr;
  void* data_ = nullptr;
  Bytes bytes_ = 0;
};

}  // namespace weft
