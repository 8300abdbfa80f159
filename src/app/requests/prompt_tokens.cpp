#include "app/requests/prompt_tokens.h"

#include <fmt/format.h>

#include <algorithm>

#include "app/requests/body_parameters.h"
#include "base/error.h"

namespace weft {
namespace {

[[noreturn]] void refuse_loss(const std::string& part) {
  refuse_parameter(
      part.starts_with("tools") ? "tools" : "messages", "lost_message",
      fmt::format("the model's chat template leaves out {}: change the request, or set "
                  "the job's input.lost_messages to warn",
                  part));
}

}  // namespace

std::vector<std::vector<TokenId>> PromptTokens::of(const PromptLine& line) {
  const EncodeOptions options{.add_special = line.add_special, .parse_special = line.parse_special};
  std::vector<std::vector<TokenId>> all;
  if (const auto* several = std::get_if<PromptArray>(&line.prompt)) {
    for (const auto& prompt : *several) {
      const auto* ids = std::get_if<std::vector<TokenId>>(&prompt);
      all.push_back(ids != nullptr ? *ids : of(std::get<std::string>(prompt), options));
    }
  } else if (const auto* ids = std::get_if<std::vector<TokenId>>(&line.prompt)) {
    all.push_back(*ids);
  } else if (const auto* conversation = std::get_if<Conversation>(&line.prompt)) {
    all.push_back(of(*conversation, line.parse_special));
  } else {
    all.push_back(of(std::get<std::string>(line.prompt), options));
  }
  return all;
}

std::vector<TokenId> PromptTokens::of(const std::string& text, EncodeOptions options) {
  if (tokenizer_ == nullptr) {
    fail_user("the model has no tokenizer: prompts must be arrays of token ids");
  }
  if (!options.parse_special && tokenizer_->names_special(text)) ++names_left_as_text_;
  return tokenizer_->encode(text, options);
}

std::shared_ptr<const BadWords> PromptTokens::bad_words(const std::vector<std::string>& texts,
                                                        std::int64_t vocab) {
  if (texts.empty()) return nullptr;
  if (tokenizer_ == nullptr) fail_user("bad words need a tokenizer, and the model has none");
  if (!token_texts_) token_texts_ = std::make_shared<TokenTexts>(*tokenizer_, vocab);
  if (bad_words_ == nullptr || bad_texts_ != texts) {
    bad_words_ = std::make_shared<BadWords>(texts, token_texts_);
    bad_texts_ = texts;
  }
  return bad_words_;
}

std::vector<TokenId> PromptTokens::of(const Conversation& conversation, bool parse_special) {
  const ChatTemplate& chat_template = this->chat_template();
  const chat::List* tools = conversation.tools.list();
  if (tools != nullptr && !tools->items().empty() && !chat_template.asks_for_tools(conversation)) {
    refuse_parameter("tools", "unsupported_value",
                     "'tools' is given, but the model's chat template does not ask for any");
  }
  std::vector<std::string> lost;
  const chat::Text text = chat_template.render(conversation, &lost);
  if (!lost.empty() && lost_messages_ == LostMessages::error) refuse_loss(lost.front());
  with_losses_ += lost.empty() ? 0 : 1;
  if (parse_special) {
    return tokenizer_->encode(text.str(), {.add_special = false, .parse_special = true});
  }
  const std::string_view whole = text.str();
  const auto named = [&](const TextRange& range) {
    return tokenizer_->names_special(whole.substr(range.begin, range.end - range.begin));
  };
  const std::vector<TextRange> ranges = text.user_ranges();
  if (std::any_of(ranges.begin(), ranges.end(), named)) {
    ++names_left_as_text_;
  }
  return encode_chat(*tokenizer_, text);
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
