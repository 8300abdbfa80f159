// The "logit_bias" of a request.
#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <nlohmann/json.hpp>
#include <utility>

#include "app/job/sampling_parameters.h"
#include "app/requests/body_parameters.h"

namespace weft {
namespace {

using nlohmann::json;

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

}  // namespace

void read_logit_bias(const json& body, const PromptRules& rules, SamplingParams& sampling) {
  constexpr std::string_view kName = "logit_bias";
  const json* value = given_parameter(body, kName);
  if (value == nullptr) return;
  const ValueType& type = sampling_parameter(kName).type;
  if (!value->is_object()) wrong_type(kName, "an object of token ids and numbers", *value);
  std::vector<LogitBias> all;
  for (const auto& [key, bias] : value->items()) {
    const TokenId token = bias_token(key, rules.vocab);
    if (!bias.is_number()) wrong_type(kName, "an object of token ids and numbers", *value);
    const double number = bias.get<double>();
    if (!in_bounds(type, number)) out_of_range(kName, bounds_in_words(type), bias);
    all.push_back({token, static_cast<float>(number)});
  }
  std::sort(all.begin(), all.end(),
            [](const LogitBias& a, const LogitBias& b) { return a.token < b.token; });
  sampling.logit_bias = std::move(all);
}

}  // namespace weft
