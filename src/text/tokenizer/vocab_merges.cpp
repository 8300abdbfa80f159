// vocab.json with merges.txt. The files do not say how text is cut into words: the model's family
// does.
#include <array>
#include <utility>

#include "text/json_file.h"
#include "text/tokenizer/bpe_tokenizer.h"
#include "text/tokenizer/loaders.h"

namespace weft {
namespace {

enum class Family { gpt2, qwen2 };

Family family_of(const std::filesystem::path& model_dir, const TokenizerConfig& config) {
  constexpr std::array<std::pair<std::string_view, Family>, 7> known{{
      {"GPT2Tokenizer", Family::gpt2},
      {"Qwen2Tokenizer", Family::qwen2},
      {"gpt2", Family::gpt2},
      {"qwen2", Family::qwen2},
      {"qwen2_moe", Family::qwen2},
      {"qwen3", Family::qwen2},
      {"qwen3_moe", Family::qwen2},
  }};
  const std::string& name =
      config.tokenizer_class.empty() ? config.model_type : config.tokenizer_class;
  for (const auto& [known_name, family] : known) {
    if (name == known_name) return family;
  }
  fail_user(
      "{}: vocab.json and merges.txt do not say how to cut text into words, and \"{}\" is neither "
      "Qwen2Tokenizer nor GPT2Tokenizer (tokenizer_class of tokenizer_config.json, or model_type "
      "of config.json); a tokenizer.json beside them would say it",
      model_dir.string(), name);
}

// The one special token that both families have without any file naming it.
void add_end_of_text(BpeTokenizer::Parts& parts) {
  const char* name = "<|endoftext|>";
  for (const AddedToken& token : parts.added_tokens) {
    if (token.content == name) return;
  }
  if (const std::optional<TokenId> id = parts.vocab.find(name)) {
    AddedToken token;
    token.id = *id;
    token.content = name;
    token.special = true;
    token.normalized = false;
    parts.added_tokens.push_back(std::move(token));
  }
}

void add_frame(const std::filesystem::path& model_dir, const TokenizerConfig& config,
               BpeTokenizer::Parts& parts) {
  const auto id_of = [&](const std::optional<std::string>& name, const char* what) {
    for (const AddedToken& token : parts.added_tokens) {
      if (name && token.content == *name) return token.id;
    }
    const auto id = name ? parts.vocab.find(*name) : std::nullopt;
    if (!id) fail_user("{}: no {} token to add", model_dir.string(), what);
    return *id;
  };
  if (config.add_bos_token.value_or(false)) {
    parts.frame.before = {id_of(config.bos_token, "BOS")};
  }
  if (config.add_eos_token.value_or(false)) {
    parts.frame.behind = {id_of(config.eos_token, "EOS")};
  }
}

}  // namespace

std::unique_ptr<Tokenizer> load_vocab_merges(const std::filesystem::path& model_dir,
                                             const TokenizerConfig& config) {
  const Family family = family_of(model_dir, config);
  BpeTokenizer::Parts parts;
  const std::filesystem::path vocab_file = model_dir / "vocab.json";
  const nlohmann::json vocab = read_json_file(vocab_file);
  reading(vocab_file, [&] { parts.vocab = Vocab::from_json(vocab); });
  const std::filesystem::path merges_file = model_dir / "merges.txt";
  const std::string merges = read_tokenizer_file(merges_file);
  reading(merges_file, [&] { parts.merges = merges_from_text(merges, parts.vocab); });

  parts.added_tokens = config.added_tokens;
  add_end_of_text(parts);
  add_frame(model_dir, config, parts);
  parts.bos_token = config.bos_token;
  parts.eos_token = config.eos_token;
  parts.decoder = PieceDecoder::byte_level();
  if (family == Family::qwen2) {
    parts.normalizer = Normalizer::nfc();
    parts.pre_tokenizer = PreTokenizer::qwen2();
  } else {
    parts.pre_tokenizer = PreTokenizer::gpt2(config.add_prefix_space.value_or(false));
  }
  return reading(model_dir, [&] { return std::make_unique<BpeTokenizer>(std::move(parts)); });
}

}  // namespace weft
