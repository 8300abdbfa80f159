#include "text/chat/chat_text.h"

#include <algorithm>
#include <utility>

namespace weft::chat {

Text::Text(std::string text, bool from_user) : text_(std::move(text)) {
  if (from_user) mark(0, text_.size(), 0);
}

Text Text::from(Source source) const {
  Text result = *this;
  result.user_.clear();
  for (const UserRange& range : user_) result.mark(range.begin, range.end, source);
  return result;
}

std::vector<TextRange> Text::user_ranges() const {
  std::vector<TextRange> ranges;
  for (const UserRange& range : user_) {
    if (!ranges.empty() && ranges.back().end == range.begin) {
      ranges.back().end = range.end;
    } else {
      ranges.push_back({range.begin, range.end});
    }
  }
  return ranges;
}

void Text::append(std::string_view text, bool from_user) {
  const std::size_t begin = text_.size();
  text_ += text;
  if (from_user) mark(begin, text_.size(), 0);
}

void Text::append_part(const Text& other, std::size_t begin, std::size_t end) {
  const std::size_t base = text_.size();
  auto range = std::partition_point(other.user_.begin(), other.user_.end(),
                                    [begin](const UserRange& r) { return r.end <= begin; });
  for (; range != other.user_.end() && range->begin < end; ++range) {
    mark(base + std::max(range->begin, begin) - begin, base + std::min(range->end, end) - begin,
         range->source);
  }
  text_.append(other.text_, begin, end - begin);
}

Text Text::part(std::size_t begin, std::size_t end) const {
  Text result;
  result.append_part(*this, begin, end);
  result.is_markup_ = is_markup_;
  return result;
}

void Text::spread_mark() {
  if (user_.empty()) return;
  const std::vector<UserRange> known = std::exchange(user_, {});
  std::size_t at = 0;
  for (const UserRange& range : known) {
    mark(at, range.begin, 0);
    mark(range.begin, range.end, range.source);
    at = range.end;
  }
  mark(at, text_.size(), 0);
}

void Text::mark(std::size_t begin, std::size_t end, Source source) {
  if (begin == end) return;
  if (!user_.empty() && user_.back().end == begin && user_.back().source == source) {
    user_.back().end = end;
  } else {
    user_.push_back({begin, end, source});
  }
}

}  // namespace weft::chat
