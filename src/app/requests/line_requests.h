// From a line of the prompt file to the engine's requests.
#pragma once

#include <cstdint>
#include <vector>

#include "app/requests/prompt_tokens.h"
#include "app/requests/prompts.h"
#include "engine/engine.h"
#include "engine/request.h"

namespace weft {

/// Every choice of every prompt of a line, made one by one: a line may ask for thousands, each with
/// a copy of its prompt. Lists of parameters are the same for all.
class LineRequests {
 public:
  /// Throws RequestFault or UserError when the model cannot run one of them.
  LineRequests(const PromptLine& line, PromptTokens& tokens, const Engine& engine);

  /// How many there are in all.
  [[nodiscard]] std::int64_t count() const {
    return static_cast<std::int64_t>(prompts_.size()) * choices_;
  }
  /// How many `next` has not given yet.
  [[nodiscard]] std::int64_t left() const { return count() - next_; }
  /// The next one, of at least one left.
  Request next();

 private:
  Request common_;  ///< what all have in common
  std::vector<std::vector<TokenId>> prompts_;
  std::int64_t choices_;
  std::int64_t next_ = 0;
};

}  // namespace weft
