#include "model/files/double_buffer.h"

#include <utility>

namespace weft {

DoubleBuffer::DoubleBuffer(const Staging& staging, Bytes bytes) {
  const auto fence = [&] { return staging.make_fence ? staging.make_fence() : nullptr; };
  sides_.push_back({Buffer(staging.memory, bytes), fence()});
  if (sides_.front().fence) sides_.push_back({Buffer(staging.memory, bytes), fence()});
}

DoubleBuffer::~DoubleBuffer() {
  for (Side& side : sides_) {
    if (!side.fence) continue;
    try {
      side.fence->set();  // a sink may have thrown when it had asked for some of its work
      side.fence->wait();
    } catch (...) {  // told by `next` and `finish`, or less than what ended the reading
    }
  }
}

std::span<std::byte> DoubleBuffer::next() {
  turn_ = (turn_ + 1) % sides_.size();
  const Side& side = sides_[turn_];
  if (side.fence) side.fence->wait();
  return {side.buffer.data(), side.buffer.bytes()};
}

void DoubleBuffer::handed_out() {
  if (sides_[turn_].fence) sides_[turn_].fence->set();
}

void DoubleBuffer::finish() {
  for (const Side& side : sides_) {
    if (side.fence) side.fence->wait();
  }
}

}  // namespace weft
