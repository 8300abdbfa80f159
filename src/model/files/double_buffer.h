// Buffers that are filled by turns while what was handed out of the others is still read.
#pragma once

#include <cstddef>
#include <memory>
#include <span>
#include <vector>

#include "base/buffer.h"
#include "base/fence.h"
#include "base/types.h"

namespace weft {

/// Where readings have their buffers, and who may still read one after a sink has returned.
struct Staging {
  Memory& memory;
  FenceMaker make_fence = nullptr;  ///< null: nobody
};

/// The buffers of one reading thread: two where its sink's work goes on after a return, else one.
class DoubleBuffer {
 public:
  DoubleBuffer(const Staging& staging, Bytes bytes);
  DoubleBuffer(DoubleBuffer&&) noexcept = default;
  DoubleBuffer& operator=(DoubleBuffer&&) = delete;
  /// Waits like `finish`, but says nothing of what failed.
  ~DoubleBuffer();

  /// The buffer whose turn it is, of `bytes` bytes, once nobody reads it any more. What was handed
  /// out of the one before stays as it is, unless they are the same. Throws Error where the work
  /// that read it has failed.
  std::span<std::byte> next();
  /// The sink has had what it gets of the latest buffer.
  void handed_out();
  /// Returns when nobody reads any of the buffers. Throws Error as `next` does.
  void finish();

 private:
  struct Side {
    Buffer buffer;
    std::unique_ptr<Fence> fence;  ///< null: never read after a return
  };
  std::vector<Side> sides_;
  std::size_t turn_ = 0;
};

}  // namespace weft
