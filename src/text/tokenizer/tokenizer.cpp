#include "text/tokenizer/tokenizer.h"

#include "base/error.h"
#include "text/tokenizer/loaders.h"
#include "text/tokenizer/stream_decoder.h"

namespace weft {

std::string Tokenizer::decode(std::span<const TokenId> ids, DecodeOptions options) const {
  StreamDecoder decoder(*this, options);
  std::string text;
  for (const TokenId id : ids) text += decoder.push(id);
  text += decoder.flush();
  return text;
}

std::unique_ptr<Tokenizer> load_tokenizer(const std::filesystem::path& model_dir) {
  const auto has = [&](const char* name) {
    std::error_code ignored;
    return std::filesystem::exists(model_dir / name, ignored);
  };
  const TokenizerConfig config = read_tokenizer_config(model_dir);
  if (has("tokenizer.json")) return load_tokenizer_json(model_dir, config);
  if (has("vocab.json") && has("merges.txt")) return load_vocab_merges(model_dir, config);
  if (has("tokenizer.model")) return load_sentencepiece(model_dir, config);
  fail_user(
      "{}: no tokenizer there: it needs tokenizer.json, or vocab.json with merges.txt, or "
      "tokenizer.model",
      model_dir.string());
}

}  // namespace weft
