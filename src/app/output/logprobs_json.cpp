#include "app/output/logprobs_json.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>
#include <vector>

#include "text/tokenizer/stream_decoder.h"
#include "text/utf8.h"

namespace weft {
namespace {

using nlohmann::ordered_json;

/// The f32 value in as few digits as tell it from its neighbours.
double readable(float value) { return std::strtod(fmt::format("{}", value).c_str(), nullptr); }

std::string_view bytes_of(TokenId token, const Tokenizer* tokenizer) {
  return tokenizer == nullptr ? std::string_view() : tokenizer->token_bytes(token);
}

/// A token's text; "bytes:\\xe2\\x98" for one that is no text by itself, "token_id:7" for one that
/// stands for nothing or where there is no tokenizer.
std::string token_text(TokenId token, const Tokenizer* tokenizer) {
  const std::string_view bytes = bytes_of(token, tokenizer);
  if (bytes.empty()) return fmt::format("token_id:{}", token);
  std::string storage;
  if (well_formed(bytes, storage) == bytes) return std::string(bytes);
  std::string text = "bytes:";
  for (const char byte : bytes) {
    text += fmt::format("\\x{:02x}", static_cast<unsigned>(static_cast<unsigned char>(byte)));
  }
  return text;
}

std::int64_t characters(std::string_view text) {
  return std::count_if(text.begin(), text.end(), [](char byte) {
    return (static_cast<unsigned char>(byte) & 0xc0U) != 0x80U;
  });
}

/// The likeliest tokens, and the one that stands there.
ordered_json top_of(TokenId token, const PositionLogprobs& at, const Tokenizer* tokenizer) {
  ordered_json top = ordered_json::object();
  // Of two tokens with one text the likelier stays.
  for (const TokenLogprob& one : at.top) {
    top.emplace(token_text(one.token, tokenizer), readable(one.logprob));
  }
  top.emplace(token_text(token, tokenizer), readable(at.logprob));
  return top;
}

/// How many tokens begin before the place where a stop string cut the text.
std::size_t tokens_in_text(const Completion& completion, const Tokenizer* tokenizer) {
  if (completion.text_bytes < 0 || tokenizer == nullptr) return completion.logprobs.size();
  StreamDecoder decoder(*tokenizer, kCompletionText);
  std::int64_t bytes = 0;
  std::size_t count = 0;
  while (count < completion.logprobs.size() && bytes < completion.text_bytes) {
    bytes += static_cast<std::int64_t>(decoder.push(completion.tokens[count++]).size());
  }
  return count;
}

/// The four lists of a completion's log-probabilities.
class Lists {
 public:
  explicit Lists(const Tokenizer* tokenizer) : tokenizer_(tokenizer) {}

  /// Null stands for what is not known.
  void add(TokenId token, const PositionLogprobs* at, std::int64_t offset) {
    tokens_.push_back(token_text(token, tokenizer_));
    logprobs_.push_back(at == nullptr ? ordered_json() : ordered_json(readable(at->logprob)));
    top_.push_back(at == nullptr ? ordered_json() : top_of(token, *at, tokenizer_));
    offsets_.push_back(offset);
  }
  ordered_json json() && {
    return {{"tokens", std::move(tokens_)},
            {"token_logprobs", std::move(logprobs_)},
            {"top_logprobs", std::move(top_)},
            {"text_offset", std::move(offsets_)}};
  }

 private:
  const Tokenizer* tokenizer_;
  ordered_json tokens_ = ordered_json::array();
  ordered_json logprobs_ = ordered_json::array();
  ordered_json top_ = ordered_json::array();
  ordered_json offsets_ = ordered_json::array();
};

/// Where tokens begin in decoded text, in characters.
class Offsets {
 public:
  Offsets(const Tokenizer* tokenizer, DecodeOptions options, std::int64_t first) : next_(first) {
    if (tokenizer != nullptr) decoder_.emplace(*tokenizer, options);
  }
  std::int64_t of(TokenId token) {
    const std::int64_t here = next_;
    if (decoder_) next_ += characters(decoder_->push(token));
    return here;
  }
  std::int64_t end() { return decoder_ ? next_ + characters(decoder_->flush()) : next_; }

 private:
  std::optional<StreamDecoder> decoder_;
  std::int64_t next_;
};

ordered_json entry(TokenId token, float logprob, const Tokenizer* tokenizer) {
  const std::string_view bytes = bytes_of(token, tokenizer);
  ordered_json list;
  if (!bytes.empty()) {
    list = ordered_json::array();
    for (const char byte : bytes) list.push_back(static_cast<unsigned char>(byte));
  }
  return {{"token", token_text(token, tokenizer)},
          {"logprob", readable(logprob)},
          {"bytes", std::move(list)}};
}

}  // namespace

ordered_json completion_logprobs(const Completion& completion, const Tokenizer* tokenizer) {
  Lists lists(tokenizer);
  Offsets prompt(tokenizer, {}, 0);
  for (std::size_t i = 0; i < completion.prompt.size(); ++i) {
    const TokenId token = completion.prompt[i];
    lists.add(token, i == 0 ? nullptr : &completion.prompt_logprobs.at(i - 1), prompt.of(token));
  }
  Offsets answer(tokenizer, kCompletionText, prompt.end());
  const std::size_t count = tokens_in_text(completion, tokenizer);
  for (std::size_t i = 0; i < count; ++i) {
    const TokenId token = completion.tokens[i];
    lists.add(token, &completion.logprobs[i], answer.of(token));
  }
  return std::move(lists).json();
}

ordered_json chat_logprobs(const Completion& completion, const Tokenizer* tokenizer) {
  ordered_json content = ordered_json::array();
  const std::size_t count = tokens_in_text(completion, tokenizer);
  for (std::size_t i = 0; i < count; ++i) {
    const PositionLogprobs& at = completion.logprobs[i];
    ordered_json top = ordered_json::array();
    for (const TokenLogprob& one : at.top) top.push_back(entry(one.token, one.logprob, tokenizer));
    content.push_back(entry(completion.tokens[i], at.logprob, tokenizer));
    content.back()["top_logprobs"] = std::move(top);
  }
  return {{"content", std::move(content)}};
}

}  // namespace weft
