#include "text/chat/chat_text.h"

#include <algorithm>
#include <utility>

namespace weft::chat {

Text::Text(std::string text, bool from_user) : text_(std::move(text)) {
  if (from_user) mark(0, text_.size());
}

void Text::append(std::string_view text, bool from_user) {
  const std::size_t begin = text_.size();
  text_ += text;
  if (from_user) mark(begin, text_.size());
}

void Text::append_part(const Text& other, std::size_t begin, std::size_t end) {
  const std::size_t base = text_.size();
  auto range = std::partition_point(other.user_.begin(), other.user_.end(),
                                    [begin](const TextRange& r) { return r.end <= begin; });
  for (; range != other.user_.end() && range->begin < end; ++range) {
    mark(base + std::max(range->begin, begin) - begin, base + std::min(range->end, end) - begin);
  }
  text_.append(other.text_, begin, end - begin);
}

Text Text::part(std::size_t begin, std::size_t end) const {
  Text result;
  result.append_part(*this, begin, end);
  return result;
}

void Text::mark(std::size_t begin, std::size_t end) {
  if (begin == end) return;
  if (!user_.empty() && user_.back().end == begin) {
    user_.back().end = end;
  } else {
    user_.push_back({begin, end});
  }
}

}  // namespace weft::chat
