// Chat templates: conversations as the text that a model expects.
#pragma once

#include <filesystem>
#include <map>
#include <memory>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/error.h"
#include "base/types.h"
#include "text/chat/chat_text.h"
#include "text/chat/chat_value.h"
#include "text/tokenizer/tokenizer.h"

namespace weft {

/// A template refuses a conversation by a message of its own (raise_exception).
class ConversationRefused : public UserError {
 public:
  using UserError::UserError;
};

/// What a template is applied to.
struct Conversation {
  chat::Value messages;                    ///< a list of dictionaries, each with a "role"
  chat::Value tools = chat::none_value();  ///< a list of dictionaries, or none
  bool add_generation_prompt = true;       ///< open the assistant's answer at the end
  /// More variables that the template may ask for, such as "enable_thinking".
  std::vector<std::pair<std::string, chat::Value>> variables;
  /// What the template's strftime_now() tells, as "YYYY-MM-DD". Without it there is no such
  /// function: results must not depend on the day.
  std::optional<std::string> today;
};

/// A text as a user's part of a message.
chat::Value user_text(std::string_view text);

/// A conversation of one user message, behind a system message if there is one.
Conversation single_turn(std::string_view prompt, std::optional<std::string_view> system);

/// The template of a model directory, in the subset of Jinja that docs/reference/formats.md
/// describes. It gives what transformers' apply_chat_template gives;
/// docs/internals/decisions/005-chat-templates.md says how. `render` may be called from several
/// threads at once.
class ChatTemplate {
 public:
  /// From chat_template.jinja, else from "chat_template" of tokenizer_config.json, and named ones
  /// from additional_chat_templates/NAME.jinja; null if there is none. UserError, with file and
  /// line, for a template that this program does not understand. `tokenizer` names the BOS and EOS
  /// tokens that the files do not.
  static std::unique_ptr<const ChatTemplate> load(const std::filesystem::path& model_dir,
                                                  const Tokenizer& tokenizer);

  /// From a text; `name` stands for it in messages. `variables`: "bos_token" and the like.
  ChatTemplate(std::string name, const std::string& source,
               std::map<std::string, std::string> variables = {});
  ChatTemplate(const ChatTemplate&) = delete;
  ChatTemplate& operator=(const ChatTemplate&) = delete;
  ~ChatTemplate();

  /// The conversation as text, each message in the form that the template reads: content as text or
  /// as parts, arguments of tool calls as JSON text or as object (it is tried on small
  /// conversations when it is read), the role "developer" as "system" where it has no word of it;
  /// what comes from the conversation is marked as a user's, but for the names of the usual roles.
  /// UserError if the template refuses it, if it does what this program does not, or if it takes
  /// too long or writes too much. `lost`, when given, becomes the list of what has text and none of
  /// it in the result: "messages[0].content", "tools[1]" and the like.
  [[nodiscard]] chat::Text render(const Conversation& conversation,
                                  std::vector<std::string>* lost = nullptr) const;

  /// What every conversation that was tried when the template was read failed with, with file and
  /// line: nothing for a template that can be used.
  [[nodiscard]] std::optional<std::string> fault() const;

  /// Whether the template for this conversation asks for its tools at all: by the name in its text.
  [[nodiscard]] bool asks_for_tools(const Conversation& conversation) const;

 private:
  struct Program;
  ChatTemplate(std::string name, std::map<std::string, std::string> variables);
  void add(const std::string& name, const std::string& source);
  void add_from(const nlohmann::json& found);
  [[nodiscard]] const Program& choose(const Conversation& conversation) const;

  std::string name_;
  std::map<std::string, std::unique_ptr<const Program>> programs_;  // by name; "" for the only one
  std::map<std::string, std::string> variables_;
};

/// The further templates of a model directory, sorted: "additional_chat_templates/NAME.jinja".
std::vector<std::string> additional_chat_templates(const std::filesystem::path& model_dir);

/// Token ids of a rendered conversation: special tokens are found in the template's own text only.
/// No BOS is added, as templates write it themselves.
std::vector<TokenId> encode_chat(const Tokenizer& tokenizer, const chat::Text& text);

}  // namespace weft
