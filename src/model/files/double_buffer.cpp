#include "model/files/double_buffer.h"

#include <utility>

namespace weft {

TurnBuffers::TurnBuffers(const Staging& staging, Bytes bytes) {
  const auto fence = [&] { return staging.make_fence ? staging.make_fence() : nullptr; };
  sides_.push_back({Buffer(staging.memory, bytes), fence()});
  if (sides_.front().fence) sides_.push_back({Buffer(staging.memory, bytes), fence()});
}

TurnBuffers::~TurnBuffers() {
  for (Side& side : sides_) {
    if (!side.fence) continue;
    try {
      side.fence->set();  // a sink may have thrown when it had asked for some of its work
      side.fence->wait();
    } catch (...) {  // told by `next` and `finish`, or less than what ended the reading
    }
  }
}

std::span<std::byte> TurnBuffers::next() {
  turn_ = (turn_ + 1) % sides_.size();
  const Side& side = sides_[turn_];
  if (side.fence) side.fence->wait();
  return {side.buffer.data(), side.buffer.bytes()};
}

void TurnBuffers::handed_out() {
  if (sides_[turn_].fence) sides_[turn_].fence->set();
}

void TurnBuffers::finish() {
  for (const Side& side : sides_) {
    if (side.fence) side.fence->wait();
  }
}

}  // namespace weft
