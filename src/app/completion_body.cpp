#include "app/completion_body.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cstddef>
#include <limits>
#include <nlohmann/json.hpp>
#include <string_view>
#include <utility>

namespace weft {
namespace {

using nlohmann::json;

constexpr std::int64_t kMaxCount = std::numeric_limits<TokenId>::max();
constexpr std::size_t kMaxStops = 16;

/// Parameters that change what is generated.
constexpr std::array<std::string_view, 12> kHonoured = {
    "prompt", "max_tokens", "min_tokens",     "temperature", "top_p", "top_k",
    "min_p",  "seed",       "stop_token_ids", "ignore_eos",  "stop",  "model"};

/// Parameters that cannot change what is generated.
constexpr std::array<std::string_view, 2> kIgnored = {"user", "metadata"};

/// Parameters that are accepted as long as they ask for nothing: null, or this value.
struct Neutral {
  std::string_view name;
  std::string_view value;  ///< as JSON
};
constexpr std::array<Neutral, 22> kNeutral = {{
    {"n", "1"},
    {"best_of", "1"},
    {"echo", "false"},
    {"stream", "false"},
    {"stream_options", "null"},
    {"logprobs", "null"},
    {"prompt_logprobs", "null"},
    {"suffix", "\"\""},
    {"logit_bias", "{}"},
    {"presence_penalty", "0"},
    {"frequency_penalty", "0"},
    {"repetition_penalty", "1"},
    {"length_penalty", "1"},
    {"use_beam_search", "false"},
    {"allowed_token_ids", "null"},
    {"bad_words", "[]"},
    {"response_format", "null"},
    {"truncate_prompt_tokens", "null"},
    {"add_special_tokens", "true"},
    {"skip_special_tokens", "true"},
    {"spaces_between_special_tokens", "true"},
    {"include_stop_str_in_output", "false"},
}};

[[noreturn]] void refuse(std::string_view param, std::string_view code, std::string message) {
  throw RequestFault{std::move(message), std::string(param), std::string(code)};
}

[[noreturn]] void wrong_type(std::string_view param, std::string_view wanted, const json& value) {
  refuse(param, "invalid_type",
         fmt::format("'{}' must be {}, not {}", param, wanted, shown(value)));
}

[[noreturn]] void out_of_range(std::string_view param, std::string_view range, const json& value) {
  refuse(param, "invalid_value",
         fmt::format("'{}' must be {}, not {}", param, range, shown(value)));
}

/// The value of a parameter; nullptr when it is absent or null, which mean the same.
const json* given(const json& body, std::string_view param) {
  const auto found = body.find(param);
  return found == body.end() || found->is_null() ? nullptr : &*found;
}

std::int64_t integer_value(std::string_view param, const json& value, std::int64_t low,
                           std::int64_t high) {
  if (!value.is_number_integer()) wrong_type(param, "an integer", value);
  const bool huge =
      value.is_number_unsigned() &&
      value.get<std::uint64_t>() > std::uint64_t{std::numeric_limits<std::int64_t>::max()};
  if (huge || value.get<std::int64_t>() < low || value.get<std::int64_t>() > high) {
    out_of_range(param, fmt::format("from {} to {}", low, high), value);
  }
  return value.get<std::int64_t>();
}

void read_integer(const json& body, std::string_view param, std::int64_t low, std::int64_t high,
                  std::int64_t& result) {
  if (const json* value = given(body, param)) result = integer_value(param, *value, low, high);
}

void read_number(const json& body, std::string_view param, double low, double high,
                 double& result) {
  const json* value = given(body, param);
  if (value == nullptr) return;
  if (!value->is_number()) wrong_type(param, "a number", *value);
  const double number = value->get<double>();
  if (!(number >= low && number <= high)) {
    out_of_range(param, fmt::format("from {} to {}", low, high), *value);
  }
  result = number;
}

void read_seed(const json& body, const PromptRules& rules, PromptLine& line) {
  const json* value = given(body, "seed");
  if (value == nullptr) {
    line.sampling.seed = derived_seed(rules.defaults.seed, line.source.custom_id.value_or(""));
  } else if (value->is_number_unsigned()) {
    line.sampling.seed = value->get<std::uint64_t>();
  } else if (value->is_number_integer()) {
    line.sampling.seed = static_cast<std::uint64_t>(value->get<std::int64_t>());
  } else {
    wrong_type("seed", "an integer", *value);
  }
}

TokenId token_id(std::string_view param, std::size_t i, const json& value, std::int64_t vocab) {
  if (!value.is_number_integer()) {
    wrong_type(param, "a list of token ids", value);
  }
  if (!value.is_number_unsigned() ||
      value.get<std::uint64_t>() >= static_cast<std::uint64_t>(vocab)) {
    refuse(param, "invalid_value",
           fmt::format("'{}' has {} at position {}; this model's token ids are from 0 to {}", param,
                       shown(value), i, vocab - 1));
  }
  return static_cast<TokenId>(value.get<std::uint64_t>());
}

std::vector<TokenId> token_ids(std::string_view param, const json& list, std::int64_t vocab) {
  std::vector<TokenId> ids;
  ids.reserve(list.size());
  for (const json& item : list) ids.push_back(token_id(param, ids.size(), item, vocab));
  return ids;
}

void read_prompt(const json& body, const PromptRules& rules, PromptLine& line) {
  const json* prompt = given(body, "prompt");
  if (prompt == nullptr) refuse("prompt", "missing_parameter", "'prompt' is missing");
  if (prompt->is_string()) {
    line.prompt = prompt->get<std::string>();
    return;
  }
  if (!prompt->is_array()) wrong_type("prompt", "a string or a list of token ids", *prompt);
  if (prompt->empty()) refuse("prompt", "invalid_value", "'prompt' is an empty list");
  if (prompt->front().is_string() || prompt->front().is_array()) {
    refuse("prompt", "unsupported_value",
           "'prompt' is a list of several prompts, which this version does not support: give each "
           "a line of its own");
  }
  line.prompt = token_ids("prompt", *prompt, rules.vocab);
}

void read_stops(const json& body, const PromptRules& rules, SamplingParams& sampling) {
  if (const json* stop = given(body, "stop")) {
    const json list = stop->is_array() ? *stop : json::array({*stop});
    sampling.stop.clear();
    for (const json& text : list) {
      if (!text.is_string()) wrong_type("stop", "a string or a list of strings", text);
      if (text.get_ref<const std::string&>().empty()) {
        refuse("stop", "invalid_value", "'stop' holds an empty string");
      }
      sampling.stop.push_back(text.get<std::string>());
    }
    if (list.size() > kMaxStops) {
      refuse("stop", "invalid_value",
             fmt::format("'stop' has {} strings, at most {} are allowed", list.size(), kMaxStops));
    }
  }
  if (const json* ids = given(body, "stop_token_ids")) {
    if (!ids->is_array()) wrong_type("stop_token_ids", "a list of token ids", *ids);
    sampling.stop_token_ids = token_ids("stop_token_ids", *ids, rules.vocab);
  }
  if (const json* ignore = given(body, "ignore_eos")) {
    if (!ignore->is_boolean()) wrong_type("ignore_eos", "true or false", *ignore);
    sampling.ignore_eos = ignore->get<bool>();
  }
}

void read_sampling(const json& body, const PromptRules& rules, PromptLine& line) {
  SamplingParams& sampling = line.sampling;
  sampling = rules.defaults;
  read_number(body, "temperature", 0, 100, sampling.temperature);
  read_number(body, "top_p", 0, 1, sampling.top_p);
  if (sampling.top_p == 0) out_of_range("top_p", "above 0", body["top_p"]);
  read_number(body, "min_p", 0, 1, sampling.min_p);
  read_integer(body, "top_k", -1, kMaxCount, sampling.top_k);
  sampling.top_k = std::max<std::int64_t>(sampling.top_k, 0);  // -1 is "no limit" too
  read_integer(body, "max_tokens", 1, kMaxCount, sampling.max_tokens);
  read_integer(body, "min_tokens", 0, kMaxCount, sampling.min_tokens);
  if (sampling.min_tokens > sampling.max_tokens) {
    refuse("min_tokens", "invalid_value",
           fmt::format("'min_tokens' ({}) is above 'max_tokens' ({})", sampling.min_tokens,
                       sampling.max_tokens));
  }
  read_seed(body, rules, line);
  read_stops(body, rules, sampling);
}

/// Refuses what is neither honoured nor of no effect.
void check_names(const json& body) {
  const auto has = [](const auto& names, std::string_view name) {
    return std::find(names.begin(), names.end(), name) != names.end();
  };
  for (const auto& [param, value] : body.items()) {
    if (has(kHonoured, param) || has(kIgnored, param)) continue;
    const auto neutral = std::find_if(kNeutral.begin(), kNeutral.end(),
                                      [&](const Neutral& entry) { return entry.name == param; });
    if (neutral == kNeutral.end()) {
      refuse(param, "unsupported_parameter",
             fmt::format("parameter {} is not supported", shown(param)));
    }
    if (!value.is_null() && value != json::parse(neutral->value)) {
      refuse(param, "unsupported_value",
             fmt::format("'{}' is {}; this version supports only {}", param, shown(value),
                         neutral->value));
    }
  }
}

}  // namespace

std::string shown(const json& value) {
  constexpr std::size_t longest = 60;
  std::string text = value.dump(-1, ' ', false, json::error_handler_t::replace);
  if (text.size() <= longest) return text;
  std::size_t end = longest;  // not inside a character
  while (end > 0 && (static_cast<unsigned char>(text[end]) & 0xC0U) == 0x80U) --end;
  return text.substr(0, end) + "…";
}

void read_completion_body(const json& body, const PromptRules& rules, PromptLine& line) {
  check_names(body);
  if (const json* model = given(body, "model")) {
    if (!model->is_string()) wrong_type("model", "a string", *model);
    line.model = model->get<std::string>();
  }
  read_prompt(body, rules, line);
  read_sampling(body, rules, line);
}

}  // namespace weft
