#include "app/prompt_tokens.h"

#include "base/error.h"

namespace weft {

std::vector<TokenId> PromptTokens::of(const PromptLine& line) {
  if (const auto* ids = std::get_if<std::vector<TokenId>>(&line.prompt)) return *ids;
  if (tokenizer_ == nullptr) {
    fail_user("the model has no tokenizer: prompts must be arrays of token ids");
  }
  if (const auto* conversation = std::get_if<Conversation>(&line.prompt)) return of(*conversation);
  return tokenizer_->encode(std::get<std::string>(line.prompt));
}

std::vector<TokenId> PromptTokens::of(const Conversation& conversation) {
  const ChatTemplate& chat_template = this->chat_template();
  return encode_chat(*tokenizer_, chat_template.render(conversation));
}

const ChatTemplate& PromptTokens::chat_template() {
  if (tokenizer_ == nullptr) {
    fail_user("{} has no tokenizer: chats cannot be turned into tokens", model_dir_.string());
  }
  if (template_ == nullptr && !template_error_) {
    try {
      template_ = ChatTemplate::load(model_dir_, *tokenizer_);
      if (template_ == nullptr) {
        template_error_ = fmt::format(
            "{} has no chat template (chat_template.jinja, or \"chat_template\" in "
            "tokenizer_config.json): use /v1/completions with a text",
            model_dir_.string());
      }
    } catch (const UserError& error) {
      template_error_ = error.what();
    }
  }
  if (template_error_) throw UserError(*template_error_);
  return *template_;
}

}  // namespace weft
