#include "app/requests/line_requests.h"

#include <algorithm>
#include <utility>

#include "app/requests/body_parameters.h"
#include "base/error.h"

namespace weft {

LineRequests::LineRequests(const PromptLine& line, PromptTokens& tokens, const Engine& engine)
    : choices_(line.choices) {
  common_.index = line.source.index;
  common_.sampling = line.sampling;
  common_.echo = line.echo;
  try {
    common_.sampling.bad_words.clear();  // not copied into each completion: they share
    common_.bad_words = tokens.bad_words(line.sampling.bad_words, engine.vocab());
  } catch (const UserError& error) {
    refuse_parameter("bad_words", "invalid_value", error.what());
  }
  prompts_ = tokens.of(line);
  for (std::size_t i = 0; i < prompts_.size(); ++i) {
    common_.prompt = std::move(prompts_[i]);
    try {
      engine.check(common_);
    } catch (const UserError& error) {
      if (prompts_.size() == 1) throw;
      fail_user("prompt {} of {}: {}", i + 1, prompts_.size(), error.what());
    }
    prompts_[i] = std::move(common_.prompt);
  }
  common_.prompt.clear();
}

Request LineRequests::next() {
  require(left() > 0, "request {} has no further completions", common_.index);
  Request request = common_;
  request.prompt = prompts_[static_cast<std::size_t>(next_ / choices_)];
  request.choice = next_++;
  return request;
}

}  // namespace weft
