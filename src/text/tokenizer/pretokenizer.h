// Cutting text into the words that the model encodes one by one.
#pragma once

#include <functional>
#include <memory>
#include <nlohmann/json_fwd.hpp>
#include <string_view>
#include <vector>

namespace weft {

/// A part of the text, on its way to becoming a word.
struct Fragment {
  std::string_view text;
  bool is_first = false;  // the whole text starts with it
};

using FragmentSink = std::function<void(Fragment)>;

/// One step: passes on a fragment in parts, possibly rewritten.
class PreTokenizerStage {
 public:
  virtual ~PreTokenizerStage() = default;

  /// Calls `sink` for each non-empty part of `fragment`, in order. What the parts view lives only
  /// as long as the call.
  virtual void split(Fragment fragment, const FragmentSink& sink) const = 0;
};

/// A chain of steps, each of which works on every part that the one before it made.
class PreTokenizer {
 public:
  PreTokenizer() = default;

  /// The "pre_tokenizer" of a tokenizer.json (Split, ByteLevel, Digits, Metaspace, Punctuation,
  /// Whitespace, WhitespaceSplit, CharDelimiterSplit, Sequence), or null for none. UserError for
  /// any other.
  static PreTokenizer from_json(const nlohmann::json& spec);

  /// GPT-2's words, or Qwen2's, as bytes.
  static PreTokenizer gpt2(bool add_prefix_space);
  static PreTokenizer qwen2();

  /// Are the words bytes that a byte-level vocabulary takes? Otherwise they are characters.
  [[nodiscard]] bool byte_level() const { return byte_level_; }

  /// Calls `word` for every word of `text`, in order.
  void run(Fragment text, const std::function<void(std::string_view)>& word) const;

 private:
  void add(const nlohmann::json& spec);
  void add_byte_level(bool add_prefix_space, bool cut);
  template <class Stage, class... Args>
  void append(Args&&... args);

  std::vector<std::unique_ptr<const PreTokenizerStage>> stages_;
  bool byte_level_ = false;
  bool in_alphabet_ = false;  // the last stages see the byte alphabet; `run` turns it into bytes
};

}  // namespace weft
