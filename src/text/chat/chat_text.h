// Text that remembers which of its parts a user wrote.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include "text/tokenizer/regex.h"

namespace weft::chat {

/// A string with the byte ranges of it that come from a request rather than from a chat template.
/// In those ranges the name of a special token is ordinary text. Operations carry the ranges along.
class Text {
 public:
  Text() = default;
  explicit Text(std::string text, bool from_user = false);

  [[nodiscard]] const std::string& str() const { return text_; }
  [[nodiscard]] std::size_t size() const { return text_.size(); }
  [[nodiscard]] bool empty() const { return text_.empty(); }

  /// Sorted, not empty, with something else between any two.
  [[nodiscard]] const std::vector<TextRange>& user_ranges() const { return user_; }
  [[nodiscard]] bool any_user() const { return !user_.empty(); }

  void append(std::string_view text, bool from_user = false);
  void append(const Text& other) { append_part(other, 0, other.size()); }
  /// Appends bytes [begin, end) of `other`.
  void append_part(const Text& other, std::size_t begin, std::size_t end);

  /// Bytes [begin, end).
  [[nodiscard]] Text part(std::size_t begin, std::size_t end) const;

 private:
  void mark(std::size_t begin, std::size_t end);

  std::string text_;
  std::vector<TextRange> user_;
};

}  // namespace weft::chat
