#include "engine/stop_strings.h"

#include <algorithm>

#include "base/error.h"

namespace weft {

StopStrings::StopStrings(std::vector<std::string> stops, const Tokenizer* tokenizer)
    : stops_(std::move(stops)) {
  if (stops_.empty()) return;
  require(tokenizer != nullptr, "stop strings need a tokenizer");
  decoder_.emplace(*tokenizer);
  for (const std::string& stop : stops_) longest_ = std::max(longest_, stop.size());
}

std::optional<std::int64_t> StopStrings::add(TokenId token) {
  if (!decoder_) return std::nullopt;
  // A stop string may have begun in the text before this token.
  const std::size_t from = text_.size() - std::min(text_.size(), longest_ - 1);
  text_ += decoder_->push(token);
  std::size_t first = std::string::npos;
  for (const std::string& stop : stops_) first = std::min(first, text_.find(stop, from));
  if (first == std::string::npos) return std::nullopt;
  return static_cast<std::int64_t>(first);
}

}  // namespace weft
