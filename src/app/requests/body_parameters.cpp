#include "app/requests/body_parameters.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cstddef>
#include <limits>
#include <nlohmann/json.hpp>
#include <optional>
#include <set>
#include <utility>
#include <variant>

#include "app/job/sampling_parameters.h"

#include "io/json_number.h"

namespace weft {
namespace {

using nlohmann::json;

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

/// Reads one parameter of the table into its member, of the type that the visitor is given.
struct ParameterReader {
  const json& body;
  std::string_view name;  ///< in the body
  ValueType type;
  const PromptRules& rules;
  SamplingParams& sampling;

  void operator()(std::monostate) const {}
  void operator()(double SamplingParams::*member) const {
    read_number(body, name, type, sampling.*member);
  }
  void operator()(std::int64_t SamplingParams::*member) const {
    read_integer(body, name, type.low, type.high, sampling.*member);
  }
  void operator()(bool SamplingParams::*member) const {
    read_boolean(body, name, sampling.*member);
  }
  void operator()(std::uint64_t SamplingParams::*member) const {
    const json* value = given_parameter(body, name);
    if (value == nullptr) return;
    if (value->is_number_unsigned()) {
      sampling.*member = value->get<std::uint64_t>();
      return;
    }
    const std::optional<std::int64_t> number = whole_number(*value);
    if (!number) wrong_type(name, "an integer", *value);
    sampling.*member = static_cast<std::uint64_t>(*number);
  }
  void operator()(SharedList<std::string> SamplingParams::*member) const {
    const json* value = given_parameter(body, name);
    if (value != nullptr) {
      sampling.*member = read_texts(name, *value, static_cast<std::size_t>(type.high),
                                    static_cast<Bytes>(type.bytes));
    }
  }
  void operator()(SharedList<TokenId> SamplingParams::*member) const {
    const json* value = given_parameter(body, name);
    if (value == nullptr) return;
    if (!value->is_array()) wrong_type(name, "a list of token ids", *value);
    sampling.*member = token_ids(name, *value, rules.vocab);
  }
};

void read_choices(const json& body, PromptLine& line) {
  const ValueType& type = sampling_parameter("n").type;
  read_integer(body, "n", type.low, type.high, line.choices);
  std::int64_t best_of = line.choices;
  read_integer(body, "best_of", type.low, type.high, best_of);
  if (best_of != line.choices) {
    refuse_parameter(
        "best_of", "unsupported_value",
        fmt::format("'best_of' is {}; this version supports only the value of 'n' ({})", best_of,
                    line.choices));
  }
}

/// Whether requests of every kind have the parameter.
bool is_common(std::string_view param) {
  const std::span<const SamplingParameter> all = sampling_parameters();
  return param == "model" || param == "parse_special" ||
         std::any_of(all.begin(), all.end(), [&](const SamplingParameter& parameter) {
           return parameter.allowed(kInBodies) && parameter.name == param;
         });
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

void read_number(const json& body, std::string_view param, const ValueType& type, double& result) {
  const json* value = given_parameter(body, param);
  if (value == nullptr) return;
  if (!value->is_number()) wrong_type(param, "a number", *value);
  const double number = value->get<double>();
  if (!in_bounds(type, number)) out_of_range(param, bounds_in_words(type), *value);
  result = number;
}

void read_boolean(const json& body, std::string_view param, bool& result) {
  const json* value = given_parameter(body, param);
  if (value == nullptr) return;
  if (!value->is_boolean()) wrong_type(param, "true or false", *value);
  result = value->get<bool>();
}

std::vector<std::string> read_texts(std::string_view param, const json& value, std::size_t most,
                                    Bytes bytes) {
  const bool is_list = value.is_array();
  std::vector<std::string> texts;
  std::set<std::string_view> seen;
  Bytes in_all = 0;
  for (std::size_t i = 0; i < (is_list ? value.size() : 1); ++i) {
    const json& text = is_list ? value[i] : value;
    if (!text.is_string()) wrong_type(param, "a string or a list of strings", text);
    if (text.get_ref<const std::string&>().empty()) {
      refuse_parameter(param, "invalid_value", fmt::format("'{}' holds an empty string", param));
    }
    const auto& string = text.get_ref<const std::string&>();
    if (!seen.insert(string).second) continue;
    texts.push_back(string);
    in_all += string.size();
  }
  if (texts.size() > most) {
    refuse_parameter(
        param, "invalid_value",
        fmt::format("'{}' has {} strings, at most {} are allowed", param, texts.size(), most));
  }
  if (in_all > bytes) {
    refuse_parameter(
        param, "invalid_value",
        fmt::format("'{}' has {} bytes in all, at most {} are allowed", param, in_all, bytes));
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
  sampling.seed = derived_seed(rules.defaults.seed, line.source.custom_id.value_or(""));
  for (const SamplingParameter& parameter : sampling_parameters()) {
    if (!parameter.allowed(kInBodies)) continue;
    ParameterReader reader{body, parameter.name, parameter.type, rules, sampling};
    if (parameter.name == "max_tokens") {
      reader.name = max_tokens;
      if (line.echo) reader.type.low = 0;
    }
    std::visit(reader, parameter.member);
  }
  const json* allowed = given_parameter(body, "allowed_token_ids");
  if (allowed != nullptr && allowed->empty()) {
    refuse_parameter("allowed_token_ids", "invalid_value",
                     "'allowed_token_ids' allows no token at all");
  }
  read_logit_bias(body, rules, sampling);
  settle(sampling);
  if (sampling.min_tokens > sampling.max_tokens) {
    refuse_parameter("min_tokens", "invalid_value",
                     fmt::format("'min_tokens' ({}) is above 'max_tokens' ({})",
                                 sampling.min_tokens, sampling.max_tokens));
  }
  read_choices(body, line);
}

void check_parameters(const json& body, const Parameters& own) {
  const auto has = [](const auto& names, std::string_view name) {
    return std::find(names.begin(), names.end(), name) != names.end();
  };
  for (const auto& [param, value] : body.items()) {
    if (is_common(param) || has(kIgnored, param) || has(own.honoured, param)) continue;
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
  if (model->get_ref<const std::string&>().size() > kMaxNameBytes) {
    refuse_parameter("model", "invalid_value",
                     fmt::format("'model' has more than {} bytes", kMaxNameBytes));
  }
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
