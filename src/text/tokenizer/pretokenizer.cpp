#include "text/tokenizer/pretokenizer.h"

#include <string>
#include <utility>

#include "text/json_file.h"
#include "text/tokenizer/byte_alphabet.h"
#include "text/tokenizer/split.h"
#include "text/utf8.h"

namespace weft {
namespace {

constexpr const char* gpt2_words =
    R"('s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+)";
constexpr const char* qwen2_words =
    R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*)"
    R"(|\s*[\r\n]+|\s+(?!\S)|\s+)";

// Words of the "Whitespace" pre-tokenizer. Its letters are not quite those of a regex's \w.
constexpr const char* whitespace_words =
    R"([\p{L}\p{M}\p{Nd}\p{Nl}\p{Pc}\x{200c}\x{200d}\x{24b6}-\x{24e9}\x{1f130}-\x{1f149})"
    R"(\x{1f150}-\x{1f169}\x{1f170}-\x{1f189}]+)"
    R"(|[^\p{L}\p{M}\p{Nd}\p{Nl}\p{Pc}\x{200c}\x{200d}\x{24b6}-\x{24e9}\x{1f130}-\x{1f149})"
    R"(\x{1f150}-\x{1f169}\x{1f170}-\x{1f189}\s]+)";

Pattern regex(const char* oniguruma) { return Pattern(Regex(pcre2_from_oniguruma(oniguruma))); }

// Puts a space before a fragment that does not start with one.
class PrefixSpace : public PreTokenizerStage {
 public:
  void split(Fragment fragment, const FragmentSink& sink) const override {
    if (fragment.text.starts_with(' ')) return sink(fragment);
    std::string text = " ";
    text += fragment.text;
    sink({text, fragment.is_first});
  }
};

// Writes bytes in their alphabet, for stages that expect to see it.
class ToAlphabet : public PreTokenizerStage {
 public:
  void split(Fragment fragment, const FragmentSink& sink) const override {
    sink({byte_level_from_bytes(fragment.text), fragment.is_first});
  }
};

// Spaces become a visible character, with one before the text; that character starts words.
class Metaspace : public PreTokenizerStage {
 public:
  enum class Prepend { never, first, always };

  Metaspace(std::string replacement, Prepend prepend, bool cut)
      : replacement_(std::move(replacement)),
        prepend_(prepend),
        cut_(cut),
        words_(Pattern(replacement_), SplitBehavior::merged_with_next, false) {}

  void split(Fragment fragment, const FragmentSink& sink) const override {
    std::string text;
    for (const char c : fragment.text) c == ' ' ? text += replacement_ : text += c;
    const bool here =
        prepend_ == Prepend::always || (prepend_ == Prepend::first && fragment.is_first);
    if (here && !text.starts_with(replacement_)) text.insert(0, replacement_);
    const Fragment whole{text, fragment.is_first};
    cut_ ? words_.split(whole, sink) : sink(whole);
  }

 private:
  std::string replacement_;
  Prepend prepend_;
  bool cut_;
  Split words_;
};

Metaspace::Prepend prepend_scheme(const nlohmann::json& spec) {
  const std::string scheme = string_member(
      spec, "prepend_scheme", bool_member(spec, "add_prefix_space", true) ? "always" : "never");
  if (scheme == "always") return Metaspace::Prepend::always;
  if (scheme == "first") return Metaspace::Prepend::first;
  if (scheme == "never") return Metaspace::Prepend::never;
  fail_user("prepend_scheme \"{}\" is not supported", scheme);
}

std::string one_character(const nlohmann::json& spec, const char* key) {
  std::string value = spec.at(key).get<std::string>();
  std::size_t end = 0;
  if (!value.empty()) next_char(value, end);
  if (value.empty() || end != value.size()) fail_user("\"{}\" is not one character", key);
  return value;
}

}  // namespace

template <class Stage, class... Args>
void PreTokenizer::append(Args&&... args) {
  if (byte_level_ && !in_alphabet_) {
    stages_.push_back(std::make_unique<const ToAlphabet>());
    in_alphabet_ = true;
  }
  stages_.push_back(std::make_unique<const Stage>(std::forward<Args>(args)...));
}

void PreTokenizer::add_byte_level(bool add_prefix_space, bool cut) {
  if (byte_level_) fail_user("two ByteLevel pre-tokenizers");
  if (add_prefix_space) append<PrefixSpace>();
  if (cut) append<Split>(regex(gpt2_words), SplitBehavior::isolated, false);
  byte_level_ = true;
}

PreTokenizer PreTokenizer::gpt2(bool add_prefix_space) {
  PreTokenizer result;
  result.add_byte_level(add_prefix_space, true);
  return result;
}

PreTokenizer PreTokenizer::qwen2() {
  PreTokenizer result;
  result.append<Split>(regex(qwen2_words), SplitBehavior::isolated, false);
  result.add_byte_level(false, false);
  return result;
}

PreTokenizer PreTokenizer::from_json(const nlohmann::json& spec) {
  PreTokenizer result;
  if (!spec.is_null()) result.add(spec);
  return result;
}

void PreTokenizer::add(const nlohmann::json& spec) {
  const std::string type = string_member(spec, "type", "");
  if (type == "Sequence") {
    for (const nlohmann::json& part : spec.at("pretokenizers")) add(part);
  } else if (type == "ByteLevel") {
    add_byte_level(bool_member(spec, "add_prefix_space", true),
                   bool_member(spec, "use_regex", true));
  } else if (type == "Split") {
    append<Split>(Pattern::from_json(spec.at("pattern")),
                  split_behavior(spec.at("behavior").get<std::string>()),
                  bool_member(spec, "invert", false));
  } else if (type == "Digits") {
    const bool individual = bool_member(spec, "individual_digits", false);
    append<Split>(regex(R"(\p{N})"),
                  individual ? SplitBehavior::isolated : SplitBehavior::contiguous, false);
  } else if (type == "Punctuation") {
    append<Split>(regex(R"([\p{P}!-/:-@\[-`{-~])"),
                  split_behavior(string_member(spec, "behavior", "Isolated")), false);
  } else if (type == "Whitespace") {
    append<Split>(regex(whitespace_words), SplitBehavior::removed, true);
  } else if (type == "WhitespaceSplit") {
    append<Split>(regex(R"(\s)"), SplitBehavior::removed, false);
  } else if (type == "CharDelimiterSplit") {
    append<Split>(Pattern(one_character(spec, "delimiter")), SplitBehavior::removed, false);
  } else if (type == "Metaspace") {
    if (byte_level_) fail_user("Metaspace after ByteLevel is not supported");
    append<Metaspace>(one_character(spec, "replacement"), prepend_scheme(spec),
                      bool_member(spec, "split", true));
  } else {
    fail_user("pre-tokenizer \"{}\" is not supported", type);
  }
}

void PreTokenizer::run(Fragment text, const std::function<void(std::string_view)>& word) const {
  std::vector<FragmentSink> sinks(stages_.size() + 1);
  for (std::size_t i = 0; i < stages_.size(); ++i) {
    sinks[i] = [stage = stages_[i].get(), next = &sinks[i + 1]](Fragment f) {
      stage->split(f, *next);
    };
  }
  if (in_alphabet_) {
    sinks.back() = [&word](Fragment f) { word(bytes_from_byte_level(f.text).value()); };
  } else {
    sinks.back() = [&word](Fragment f) { word(f.text); };
  }
  if (!text.text.empty()) sinks.front()(text);
}

}  // namespace weft
