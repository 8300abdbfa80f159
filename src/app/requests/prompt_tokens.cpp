#include "app/requests/prompt_tokens.h"

#include <algorithm>

#include "app/requests/body_parameters.h"
#include "base/error.h"

namespace weft {

std::vector<std::vector<TokenId>> PromptTokens::of(const PromptLine& line) {
  std::vector<std::vector<TokenId>> all;
  if (const auto* several = std::get_if<PromptArray>(&line.prompt)) {
    for (const auto& prompt : *several) {
      const auto* ids = std::get_if<std::vector<TokenId>>(&prompt);
      all.push_back(ids != nullptr ? *ids : of(std::get<std::string>(prompt)));
    }
  } else if (const auto* ids = std::get_if<std::vector<TokenId>>(&line.prompt)) {
    all.push_back(*ids);
  } else if (const auto* conversation = std::get_if<Conversation>(&line.prompt)) {
    all.push_back(of(*conversation));
  } else {
    all.push_back(of(std::get<std::string>(line.prompt)));
  }
  return all;
}

std::vector<TokenId> PromptTokens::of(const std::string& text) const {
  if (tokenizer_ == nullptr) {
    fail_user("the model has no tokenizer: prompts must be arrays of token ids");
  }
  return tokenizer_->encode(text);
}

std::vector<std::vector<TokenId>> PromptTokens::bad_words(
    const std::vector<std::string>& texts) const {
  if (texts.empty()) return {};
  if (tokenizer_ == nullptr) fail_user("bad words need a tokenizer, and the model has none");
  std::vector<std::vector<TokenId>> words;
  for (const std::string& text : texts) {
    const std::size_t begin = std::min(text.find_first_not_of(' '), text.size());
    const std::string word = text.substr(begin);
    const EncodeOptions plain{.add_special = false};
    const std::vector<TokenId> alone = tokenizer_->encode(word, plain);
    const std::vector<TokenId> spaced = tokenizer_->encode(" " + word, plain);
    if (!alone.empty()) words.push_back(alone);
    if (!spaced.empty() && !alone.empty() && spaced.size() == alone.size() &&
        spaced.front() != alone.front()) {
      words.push_back(spaced);
    }
  }
  return words;
}

std::vector<TokenId> PromptTokens::of(const Conversation& conversation) {
  const ChatTemplate& chat_template = this->chat_template();
  const chat::List* tools = conversation.tools.list();
  if (tools != nullptr && !tools->items().empty() && !chat_template.asks_for_tools(conversation)) {
    refuse_parameter("tools", "unsupported_value",
                     "'tools' is given, but the model's chat template does not ask for any");
  }
  return encode_chat(*tokenizer_, chat_template.render(conversation));
}

const ChatTemplate& PromptTokens::chat_template() {
  if (tokenizer_ == nullptr) {
    fail_user("the model has no tokenizer: chats cannot be turned into tokens");
  }
  if (template_ == nullptr && !template_error_) {
    try {
      template_ = ChatTemplate::load(model_dir_, *tokenizer_);
      if (template_ == nullptr) {
        template_error_ =
            "the model has no chat template (chat_template.jinja, or \"chat_template\" in "
            "tokenizer_config.json): use /v1/completions with a text";
      }
    } catch (const UserError& error) {
      // A row is the same wherever the model lies.
      template_error_ = error.what();
      const std::string folder = (model_dir_ / "").string();
      if (template_error_->starts_with(folder)) template_error_->erase(0, folder.size());
    }
  }
  if (template_error_) throw UserError(*template_error_);
  return *template_;
}

}  // namespace weft
