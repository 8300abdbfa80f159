// Text that remembers which of its parts a user wrote.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include "text/tokenizer/regex.h"

namespace weft::chat {

/// Which part of a request a text comes from, as the caller numbers them; 0: no part in particular.
using Source = int;

/// Bytes [begin, end) of a text that come from a request.
struct UserRange {
  std::size_t begin = 0;
  std::size_t end = 0;
  Source source = 0;
};

/// A string with the byte ranges of it that come from a request rather than from a chat template.
/// In those ranges the name of a special token is ordinary text. Operations carry the ranges along,
/// each with its source.
class Text {
 public:
  enum class Side { left, middle, right };

  Text() = default;
  explicit Text(std::string text, bool from_user = false);
  /// The same text; what is a user's in it comes from `source`.
  [[nodiscard]] Text from(Source source) const;

  [[nodiscard]] const std::string& str() const { return text_; }
  [[nodiscard]] std::size_t size() const { return text_.size(); }
  [[nodiscard]] bool empty() const { return text_.empty(); }

  /// What a user wrote: sorted, not empty, with something else between any two.
  [[nodiscard]] std::vector<TextRange> user_ranges() const;
  /// The same, cut where the source changes.
  [[nodiscard]] const std::vector<UserRange>& sources() const { return user_; }
  [[nodiscard]] bool any_user() const { return !user_.empty(); }

  void append(std::string_view text, bool from_user = false);
  void append(const Text& other) { append_part(other, 0, other.size()); }
  /// Appends bytes [begin, end) of `other`.
  void append_part(const Text& other, std::size_t begin, std::size_t end);

  /// Bytes [begin, end).
  [[nodiscard]] Text part(std::size_t begin, std::size_t end) const;

  /// If any of it is a user's, all of it becomes so.
  void spread_mark();

  /// Is it markup (`x | safe`)? What is joined to it is then escaped for HTML.
  [[nodiscard]] bool is_markup() const { return is_markup_; }
  void set_markup(bool is_markup) { is_markup_ = is_markup; }

 private:
  void mark(std::size_t begin, std::size_t end, Source source);

  std::string text_;
  std::vector<UserRange> user_;
  bool is_markup_ = false;
};

}  // namespace weft::chat
