// tokenizer.json: the format of the Hugging Face tokenizers library, as far as its model is BPE.
#include "text/json_file.h"
#include "text/tokenizer/bpe_tokenizer.h"
#include "text/tokenizer/loaders.h"

namespace weft {
namespace {

using nlohmann::json;

void refuse_unless_absent(const json& model, const char* key) {
  const json& value = member_or_null(model, key);
  const bool absent = value.is_null() || (value.is_string() && value.get<std::string>().empty()) ||
                      (value.is_number() && value.get<double>() == 0.0);
  if (!absent) fail_user("a BPE model with \"{}\" is not supported", key);
}

void read_model(const json& model, BpeTokenizer::Parts& parts) {
  const std::string type = string_member(model, "type", "BPE");
  if (type != "BPE") fail_user("tokenizer model \"{}\" is not supported, only BPE is", type);
  for (const char* key : {"dropout", "continuing_subword_prefix", "end_of_word_suffix"}) {
    refuse_unless_absent(model, key);
  }
  parts.vocab = Vocab::from_json(model.at("vocab"));
  parts.merges = merges_from_json(model.at("merges"), parts.vocab);
  parts.options.byte_fallback = bool_member(model, "byte_fallback", false);
  parts.options.fuse_unk = bool_member(model, "fuse_unk", false);
  parts.options.ignore_merges = bool_member(model, "ignore_merges", false);
  if (const std::string unk = string_member(model, "unk_token", ""); !unk.empty()) {
    parts.options.unk = parts.vocab.find(unk);
    if (!parts.options.unk) fail_user("the unknown token \"{}\" is not in the vocabulary", unk);
  }
}

void read_added_tokens(const json& list, BpeTokenizer::Parts& parts) {
  if (list.is_null()) return;
  if (!list.is_array()) fail_user("\"added_tokens\" is a {}, not an array", list.type_name());
  for (const json& token : list) {
    parts.added_tokens.push_back(AddedToken::from_json(token, token_id_from(token.at("id"))));
  }
}

// "single" of a TemplateProcessing: special tokens around the one sequence "A".
void read_template(const json& spec, BpeTokenizer::Frame& frame) {
  const json& pieces = spec.at("single");
  if (!pieces.is_array()) fail_user("a TemplateProcessing whose \"single\" is no array");
  bool behind = false;
  for (const json& piece : pieces) {
    if (piece.contains("Sequence")) {
      if (behind) fail_user("a TemplateProcessing with more than one sequence");
      behind = true;
      continue;
    }
    const std::string name = piece.at("SpecialToken").at("id").get<std::string>();
    for (const json& id : spec.at("special_tokens").at(name).at("ids")) {
      (behind ? frame.behind : frame.before).push_back(token_id_from(id));
    }
  }
  if (!behind) fail_user("a TemplateProcessing without the sequence");
}

void read_post_processor(const json& spec, BpeTokenizer::Frame& frame) {
  if (spec.is_null()) return;
  const std::string type = string_member(spec, "type", "");
  if (type == "ByteLevel") return;  // concerns offsets only
  if (type == "TemplateProcessing") {
    BpeTokenizer::Frame inner;
    read_template(spec, inner);
    frame.before.insert(frame.before.begin(), inner.before.begin(), inner.before.end());
    frame.behind.insert(frame.behind.end(), inner.behind.begin(), inner.behind.end());
  } else if (type == "Sequence") {
    for (const json& part : spec.at("processors")) read_post_processor(part, frame);
  } else {
    fail_user("post-processor \"{}\" is not supported", type);
  }
}

}  // namespace

std::unique_ptr<Tokenizer> load_tokenizer_json(const std::filesystem::path& model_dir,
                                               const TokenizerConfig& config) {
  const std::filesystem::path file = model_dir / "tokenizer.json";
  const json root = read_json_file(file);
  return reading(file, [&]() -> std::unique_ptr<Tokenizer> {
    BpeTokenizer::Parts parts;
    read_model(root.at("model"), parts);
    read_added_tokens(member_or_null(root, "added_tokens"), parts);
    parts.normalizer = Normalizer::from_json(member_or_null(root, "normalizer"));
    parts.pre_tokenizer = PreTokenizer::from_json(member_or_null(root, "pre_tokenizer"));
    parts.decoder = PieceDecoder::from_json(member_or_null(root, "decoder"));
    read_post_processor(member_or_null(root, "post_processor"), parts.frame);
    parts.bos_token = config.bos_token;
    parts.eos_token = config.eos_token;
    return std::make_unique<BpeTokenizer>(std::move(parts));
  });
}

}  // namespace weft
