#include "engine/stop_strings.h"

#include <algorithm>

#include "base/error.h"

namespace weft {

StopStrings::StopStrings(Shared<std::vector<std::string>> stops, const Tokenizer* tokenizer,
                         bool include)
    : stops_(std::move(stops)), include_(include) {
  if (stops_.empty()) return;
  require(tokenizer != nullptr, "stop strings need a tokenizer");
  decoder_.emplace(*tokenizer, kCompletionText);
  for (const std::string& stop : stops_) require(!stop.empty(), "an empty stop string");
}

std::optional<std::int64_t> StopStrings::add(TokenId token) {
  if (!decoder_) return std::nullopt;
  const std::size_t before = text_.size();
  text_ += decoder_->push(token);
  std::size_t first = std::string::npos;
  std::size_t length = 0;
  for (const std::string& stop : stops_) {
    // It may have begun in the text before this token, but must end behind it: one that an earlier
    // token completed was that token's affair.
    const std::size_t from = before - std::min(before, stop.size() - 1);
    const std::size_t found = text_.find(stop, from);
    if (found >= first) continue;  // of those that begin at one place, the first of the list
    first = found;
    length = stop.size();
  }
  if (first == std::string::npos) return std::nullopt;
  return static_cast<std::int64_t>(include_ ? first + length : first);
}

}  // namespace weft
