#include "app/requests/body_parameters.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cstddef>
#include <limits>
#include <nlohmann/json.hpp>
#include <optional>
#include <utility>

#include "io/json_number.h"

namespace weft {
namespace {

using nlohmann::json;

constexpr std::int64_t kMaxCount = std::numeric_limits<TokenId>::max();
constexpr std::size_t kMaxStops = 16;
constexpr std::int64_t kMaxChoices = 128;

/// Parameters of every request that change what is generated.
constexpr std::array<std::string_view, 20> kHonoured = {"max_tokens",
                                                        "min_tokens",
                                                        "temperature",
                                                        "top_p",
                                                        "top_k",
                                                        "min_p",
                                                        "seed",
                                                        "stop_token_ids",
                                                        "ignore_eos",
                                                        "stop",
                                                        "include_stop_str_in_output",
                                                        "model",
                                                        "n",
                                                        "best_of",
                                                        "presence_penalty",
                                                        "frequency_penalty",
                                                        "repetition_penalty",
                                                        "logit_bias",
                                                        "allowed_token_ids",
                                                        "bad_words"};

/// Parameters that cannot change what is generated: who asks, and what a service keeps for it.
constexpr std::array<std::string_view, 5> kIgnored = {"user", "safety_identifier", "metadata",
                                                      "prompt_cache_key", "prompt_cache_retention"};

/// Parameters of every request that may only ask for nothing.
constexpr std::array<NeutralParameter, 8> kNeutral = {{
    {"stream", "false"},
    {"stream_options", "null"},
    {"prompt_logprobs", "null"},
    {"length_penalty", "1"},
    {"use_beam_search", "false"},
    {"truncate_prompt_tokens", "null"},
    {"skip_special_tokens", "true"},
    {"spaces_between_special_tokens", "true"},
}};

std::int64_t integer_value(std::string_view param, const json& value, std::int64_t low,
                           std::int64_t high) {
  const std::optional<std::int64_t> number = whole_number(value);
  if (!number && !value.is_number_unsigned()) wrong_type(param, "an integer", value);
  if (!number || *number < low || *number > high) {
    out_of_range(param, fmt::format("from {} to {}", low, high), value);
  }
  return *number;
}

void read_seed(const json& body, const PromptRules& rules, PromptLine& line) {
  const json* value = given_parameter(body, "seed");
  if (value == nullptr) {
    line.sampling.seed = derived_seed(rules.defaults.seed, line.source.custom_id.value_or(""));
  } else if (value->is_number_unsigned()) {
    line.sampling.seed = value->get<std::uint64_t>();
  } else if (const std::optional<std::int64_t> number = whole_number(*value)) {
    line.sampling.seed = static_cast<std::uint64_t>(*number);
  } else {
    wrong_type("seed", "an integer", *value);
  }
}

TokenId token_id(std::string_view param, std::size_t i, const json& value, std::int64_t vocab) {
  const std::optional<std::int64_t> number = whole_number(value);
  if (!number && !value.is_number_unsigned()) wrong_type(param, "a list of token ids", value);
  if (!number || *number < 0 || *number >= vocab) {
    refuse_parameter(
        param, "invalid_value",
        fmt::format("'{}' has {} at position {}; this model's token ids are from 0 to {}", param,
                    shown(value), i, vocab - 1));
  }
  return static_cast<TokenId>(*number);
}

void read_stops(const json& body, const PromptRules& rules, SamplingParams& sampling) {
  if (const json* stop = given_parameter(body, "stop")) {
    sampling.stop = read_texts("stop", *stop, kMaxStops);
  }
  if (const json* ids = given_parameter(body, "stop_token_ids")) {
    if (!ids->is_array()) wrong_type("stop_token_ids", "a list of token ids", *ids);
    sampling.stop_token_ids = token_ids("stop_token_ids", *ids, rules.vocab);
  }
  read_boolean(body, "ignore_eos", sampling.ignore_eos);
  read_boolean(body, "include_stop_str_in_output", sampling.include_stop);
}

void read_sampled(const json& body, PromptLine& line) {
  read_integer(body, "n", 1, kMaxChoices, line.choices);
  std::int64_t best_of = line.choices;
  read_integer(body, "best_of", 1, kMaxChoices, best_of);
  if (best_of != line.choices) {
    refuse_parameter(
        "best_of", "unsupported_value",
        fmt::format("'best_of' is {}; this version supports only the value of 'n' ({})", best_of,
                    line.choices));
  }
}

/// The first of both that has the name; null if none has.
const NeutralParameter* neutral_entry(std::string_view param, const Parameters& own) {
  for (const std::span<const NeutralParameter> list :
       {std::span<const NeutralParameter>(kNeutral), own.neutral}) {
    for (const NeutralParameter& entry : list) {
      if (entry.name == param) return &entry;
    }
  }
  return nullptr;
}

}  // namespace

void refuse_parameter(std::string_view param, std::string_view code, std::string message) {
  throw RequestFault{std::move(message), std::string(param), std::string(code)};
}

void wrong_type(std::string_view param, std::string_view wanted, const json& value) {
  refuse_parameter(param, "invalid_type",
                   fmt::format("'{}' must be {}, not {}", param, wanted, shown(value)));
}

void out_of_range(std::string_view param, std::string_view range, const json& value) {
  refuse_parameter(param, "invalid_value",
                   fmt::format("'{}' must be {}, not {}", param, range, shown(value)));
}

const json* given_parameter(const json& body, std::string_view param) {
  const auto found = body.find(param);
  return found == body.end() || found->is_null() ? nullptr : &*found;
}

void read_integer(const json& body, std::string_view param, std::int64_t low, std::int64_t high,
                  std::int64_t& result) {
  if (const json* value = given_parameter(body, param))
    result = integer_value(param, *value, low, high);
}

void read_number(const json& body, std::string_view param, double low, double high,
                 double& result) {
  const json* value = given_parameter(body, param);
  if (value == nullptr) return;
  if (!value->is_number()) wrong_type(param, "a number", *value);
  const double number = value->get<double>();
  if (!(number >= low && number <= high)) {
    out_of_range(param, fmt::format("from {} to {}", low, high), *value);
  }
  result = number;
}

void read_boolean(const json& body, std::string_view param, bool& result) {
  const json* value = given_parameter(body, param);
  if (value == nullptr) return;
  if (!value->is_boolean()) wrong_type(param, "true or false", *value);
  result = value->get<bool>();
}

std::vector<std::string> read_texts(std::string_view param, const json& value, std::size_t most) {
  const json list = value.is_array() ? value : json::array({value});
  std::vector<std::string> texts;
  for (const json& text : list) {
    if (!text.is_string()) wrong_type(param, "a string or a list of strings", text);
    if (text.get_ref<const std::string&>().empty()) {
      refuse_parameter(param, "invalid_value", fmt::format("'{}' holds an empty string", param));
    }
    texts.push_back(text.get<std::string>());
  }
  if (texts.size() > most) {
    refuse_parameter(
        param, "invalid_value",
        fmt::format("'{}' has {} strings, at most {} are allowed", param, texts.size(), most));
  }
  return texts;
}

std::vector<TokenId> token_ids(std::string_view param, const json& list, std::int64_t vocab) {
  std::vector<TokenId> ids;
  ids.reserve(list.size());
  for (const json& item : list) ids.push_back(token_id(param, ids.size(), item, vocab));
  return ids;
}

void read_sampling(const json& body, const PromptRules& rules, PromptLine& line,
                   std::string_view max_tokens) {
  SamplingParams& sampling = line.sampling;
  sampling = rules.defaults;
  read_number(body, "temperature", 0, 100, sampling.temperature);
  read_number(body, "top_p", 0, 1, sampling.top_p);
  if (sampling.top_p == 0) out_of_range("top_p", "above 0", body["top_p"]);
  read_number(body, "min_p", 0, 1, sampling.min_p);
  read_integer(body, "top_k", -1, kMaxCount, sampling.top_k);
  sampling.top_k = std::max<std::int64_t>(sampling.top_k, 0);  // -1 is "no limit" too
  read_integer(body, max_tokens, line.echo ? 0 : 1, kMaxCount, sampling.max_tokens);
  read_integer(body, "min_tokens", 0, kMaxCount, sampling.min_tokens);
  if (sampling.min_tokens > sampling.max_tokens) {
    refuse_parameter("min_tokens", "invalid_value",
                     fmt::format("'min_tokens' ({}) is above 'max_tokens' ({})",
                                 sampling.min_tokens, sampling.max_tokens));
  }
  read_sampled(body, line);
  read_logit_parameters(body, rules, sampling);
  read_seed(body, rules, line);
  read_stops(body, rules, sampling);
}

void check_parameters(const json& body, const Parameters& own) {
  const auto has = [](const auto& names, std::string_view name) {
    return std::find(names.begin(), names.end(), name) != names.end();
  };
  for (const auto& [param, value] : body.items()) {
    if (has(kHonoured, param) || has(kIgnored, param) || has(own.honoured, param)) continue;
    const NeutralParameter* neutral = neutral_entry(param, own);
    if (neutral == nullptr) {
      refuse_parameter(param, "unsupported_parameter",
                       fmt::format("parameter {} is not supported", shown(param)));
    }
    if (!value.is_null() && value != json::parse(neutral->value)) {
      refuse_parameter(param, "unsupported_value",
                       fmt::format("'{}' is {}; this version supports only {}", param, shown(value),
                                   neutral->value));
    }
  }
}

void read_model_name(const json& body, PromptLine& line) {
  const json* model = given_parameter(body, "model");
  if (model == nullptr) return;
  if (!model->is_string()) wrong_type("model", "a string", *model);
  line.model = model->get<std::string>();
}

std::string shown(const json& value) {
  constexpr std::size_t longest = 60;
  std::string text = value.dump(-1, ' ', false, json::error_handler_t::replace);
  if (text.size() <= longest) return text;
  std::size_t end = longest;  // not inside a character
  while (end > 0 && (static_cast<unsigned char>(text[end]) & 0xC0U) == 0x80U) --end;
  return text.substr(0, end) + "…";
}

}  // namespace weft
