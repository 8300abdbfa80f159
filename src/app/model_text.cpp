#include "app/model_text.h"

#include <algorithm>
#include <string>
#include <vector>

#include "base/error.h"
#include "model/files/manifest.h"
#include "text/chat/chat_template.h"

namespace weft {
namespace {

/// Names no tokens: only the end tokens of a model.
constexpr const char* kGenerationConfig = "generation_config.json";

/// Refuses tokenizer files that are not the ones that the manifest names.
void check_tokenizer_files(const ModelReader& reader) {
  for (const TokenizerFile& file : reader.manifest().tokenizer) {
    const std::filesystem::path path = reader.directory() / file.name;
    if (digest_of_file(path) != file.digest) {
      fail_user("{}: damaged, or changed since it was written", path.string());
    }
  }
}

void check_template(const std::filesystem::path& directory, const Tokenizer& tokenizer) {
  const auto chat_template = ChatTemplate::load(directory, tokenizer);
  if (chat_template == nullptr) return;
  Conversation trial = single_turn("Hi", std::nullopt);
  trial.today = "2026-01-31";  // which a request can give
  try {
    encode_chat(tokenizer, chat_template->render(trial));
  } catch (const ConversationRefused&) {
    // It wants another conversation.
  }
}

}  // namespace

std::unique_ptr<Tokenizer> tokenizer_of(const ModelReader& reader) {
  check_tokenizer_files(reader);
  const std::vector<TokenizerFile>& files = reader.manifest().tokenizer;
  const bool any = std::any_of(files.begin(), files.end(), [](const TokenizerFile& file) {
    return file.name != kGenerationConfig;
  });
  return any ? load_tokenizer(reader.directory()) : nullptr;
}

std::unique_ptr<Tokenizer> open_tokenizer(const std::filesystem::path& directory) {
  if (std::filesystem::exists(directory / Manifest::kFileName)) {
    return tokenizer_of(ModelReader(directory));
  }
  std::vector<std::string> files = tokenizer_files_in(directory);
  std::erase(files, kGenerationConfig);
  return files.empty() ? nullptr : load_tokenizer(directory);
}

void check_text(const ModelReader& reader) {
  if (const auto tokenizer = tokenizer_of(reader)) check_template(reader.directory(), *tokenizer);
}

void check_text_of(const std::filesystem::path& directory) {
  if (const auto tokenizer = open_tokenizer(directory)) check_template(directory, *tokenizer);
}

}  // namespace weft
