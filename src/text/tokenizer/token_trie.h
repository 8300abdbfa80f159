// Finding the longest of many fixed strings.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "text/tokenizer/regex.h"

namespace weft {

/// A set of strings, each with a number, as a trie over bytes.
class TokenTrie {
 public:
  struct Match {
    TextRange range;
    std::size_t value;
  };

  /// Adds a string; an empty one is ignored, of two equal ones the first counts.
  void add(std::string_view string, std::size_t value);

  /// The leftmost occurrence at `from` or later; of several at the same place the longest.
  [[nodiscard]] std::optional<Match> find(std::string_view text, std::size_t from) const;

 private:
  struct Node {
    std::optional<std::size_t> value;
  };
  static std::uint64_t edge(std::size_t node, char byte) {
    return static_cast<std::uint64_t>(node) << 8 | static_cast<std::uint8_t>(byte);
  }

  std::vector<Node> nodes_{Node{}};
  std::unordered_map<std::uint64_t, std::size_t> edges_;
  std::vector<bool> starts_ = std::vector<bool>(256);  // bytes that some string starts with
};

}  // namespace weft
