// Which bytes a memory has handed out.
#pragma once

#include <cstddef>
#include <map>
#include <span>

#include "base/types.h"

namespace weft {

/// Disjoint pieces of memory by their addresses.
class Pieces {
 public:
  void add(const void* data, Bytes bytes) {
    pieces_.emplace(static_cast<const std::byte*>(data), bytes);
  }
  void remove(const void* data) { pieces_.erase(static_cast<const std::byte*>(data)); }

  /// Whether bytes lie in a piece. None do when they stand in one or at its end.
  [[nodiscard]] bool hold(std::span<const std::byte> bytes) const {
    auto piece = pieces_.upper_bound(bytes.data());
    if (piece == pieces_.begin()) return false;
    --piece;
    return bytes.data() + bytes.size() <= piece->first + piece->second;
  }

 private:
  std::map<const std::byte*, Bytes> pieces_;
};

}  // namespace weft
