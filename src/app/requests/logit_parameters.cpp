// Parameters of a request that change logits before a token is chosen.
#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cstddef>
#include <nlohmann/json.hpp>
#include <utility>

#include "app/requests/body_parameters.h"

namespace weft {
namespace {

using nlohmann::json;

constexpr std::size_t kMaxBadWords = 1024;
constexpr Bytes kMaxBadWordBytes = Bytes{256} << 10;
constexpr double kMaxRepetition = 100;

/// An id as JSON's objects have it: decimal digits without leading zeros.
TokenId bias_token(const std::string& key, std::int64_t vocab) {
  TokenId token = -1;
  const auto [end, error] = std::from_chars(key.data(), key.data() + key.size(), token);
  const bool plain =
      error == std::errc() && end == key.data() + key.size() && fmt::format("{}", token) == key;
  if (!plain || token < 0 || token >= vocab) {
    refuse_parameter("logit_bias", "invalid_value",
                     fmt::format("'logit_bias' has the key {}; this model's token ids are from 0 "
                                 "to {}",
                                 shown(json(key)), vocab - 1));
  }
  return token;
}

std::vector<LogitBias> read_bias(const json& value, std::int64_t vocab) {
  if (!value.is_object()) wrong_type("logit_bias", "an object of token ids and numbers", value);
  std::vector<LogitBias> all;
  for (const auto& [key, bias] : value.items()) {
    const TokenId token = bias_token(key, vocab);
    if (!bias.is_number()) wrong_type("logit_bias", "an object of token ids and numbers", value);
    const double number = bias.get<double>();
    if (!(number >= -100 && number <= 100)) out_of_range("logit_bias", "from -100 to 100", bias);
    all.push_back({token, static_cast<float>(number)});
  }
  std::sort(all.begin(), all.end(),
            [](const LogitBias& a, const LogitBias& b) { return a.token < b.token; });
  return all;
}

}  // namespace

void read_logit_parameters(const json& body, const PromptRules& rules, SamplingParams& sampling) {
  read_number(body, "presence_penalty", -2, 2, sampling.presence_penalty);
  read_number(body, "frequency_penalty", -2, 2, sampling.frequency_penalty);
  read_number(body, "repetition_penalty", 0, kMaxRepetition, sampling.repetition_penalty);
  if (static_cast<float>(sampling.repetition_penalty) == 0) {
    out_of_range("repetition_penalty", "above 0", body["repetition_penalty"]);
  }
  if (const json* bias = given_parameter(body, "logit_bias")) {
    sampling.logit_bias = read_bias(*bias, rules.vocab);
  }
  if (const json* ids = given_parameter(body, "allowed_token_ids")) {
    if (!ids->is_array()) wrong_type("allowed_token_ids", "a list of token ids", *ids);
    std::vector<TokenId> allowed = token_ids("allowed_token_ids", *ids, rules.vocab);
    if (allowed.empty()) {
      refuse_parameter("allowed_token_ids", "invalid_value",
                       "'allowed_token_ids' allows no token at all");
    }
    sampling.allowed_token_ids = distinct(std::move(allowed));
  }
  if (const json* words = given_parameter(body, "bad_words")) {
    if (!words->is_array()) wrong_type("bad_words", "a list of strings", *words);
    sampling.bad_words = read_texts("bad_words", *words, kMaxBadWords, kMaxBadWordBytes);
  }
}

}  // namespace weft
