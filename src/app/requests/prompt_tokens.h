// From a request's prompt to token ids.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "app/requests/prompts.h"
#include "text/chat/chat_template.h"
#include "text/tokenizer/tokenizer.h"

namespace weft {

/// Tokenizer and chat template of a model. The template is read when it is first needed, so that
/// one which is not understood does not matter to other requests.
class PromptTokens {
 public:
  /// `tokenizer` may be null: then only prompts of ids work. It must outlive this object.
  PromptTokens(std::filesystem::path model_dir, const Tokenizer* tokenizer,
               LostMessages lost_messages = LostMessages::error)
      : model_dir_(std::move(model_dir)), tokenizer_(tokenizer), lost_messages_(lost_messages) {}

  /// Token ids of each of a request's prompts. UserError if the model cannot do that; RequestFault
  /// for tools that its chat template does not ask for, and for messages of which nothing is left
  /// in the prompt, unless they are to be counted only.
  std::vector<std::vector<TokenId>> of(const PromptLine& line);
  std::vector<TokenId> of(const Conversation& conversation);
  std::vector<TokenId> of(const std::string& text) const;

  /// Token sequences that each text becomes at the beginning of a text and behind a space. As in
  /// vLLM, the second counts when it is one other token at its front and as many tokens in all.
  /// UserError without a tokenizer.
  [[nodiscard]] std::vector<std::vector<TokenId>> bad_words(
      const std::vector<std::string>& texts) const;

  /// Requests that went on although something of them is not in their prompt.
  [[nodiscard]] std::int64_t with_losses() const { return with_losses_; }

 private:
  const ChatTemplate& chat_template();

  std::filesystem::path model_dir_;
  const Tokenizer* tokenizer_;
  LostMessages lost_messages_;
  std::int64_t with_losses_ = 0;
  std::unique_ptr<const ChatTemplate> template_;
  std::optional<std::string> template_error_;
};

}  // namespace weft
