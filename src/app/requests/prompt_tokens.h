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
  /// Of a chat or a text; with `parse_special` names of special tokens in what the request itself
  /// holds are these tokens, and `add_special` adds what the model has around a text.
  std::vector<TokenId> of(const Conversation& conversation, bool parse_special = false);
  std::vector<TokenId> of(const std::string& text, EncodeOptions options);

  /// Prompts so far in which the name of a special token stayed text.
  [[nodiscard]] std::int64_t names_left_as_text() const { return names_left_as_text_; }

  /// What a completion must not contain, for a model of `vocab` tokens; null for no texts.
  /// UserError without a tokenizer.
  std::shared_ptr<const BadWords> bad_words(const std::vector<std::string>& texts,
                                            std::int64_t vocab);

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
  std::int64_t names_left_as_text_ = 0;
  // Made when they are first needed. Many requests in a row have the same bad words, the job's.
  std::shared_ptr<const TokenTexts> token_texts_;
  std::vector<std::string> bad_texts_;
  std::shared_ptr<const BadWords> bad_words_;
};

}  // namespace weft
