// Parameters that the bodies of all kinds of requests have in common.
#pragma once

#include <cstdint>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "app/job/value_type.h"
#include "app/requests/prompts.h"

namespace weft {

/// Most likeliest tokens whose log-probabilities a request may ask for.
inline constexpr std::int64_t kMaxLogprobs = 20;

/// What is wrong with a request; becomes a PromptError.
struct RequestFault {
  std::string message;
  std::optional<std::string> param;
  std::string code;
};

/// A parameter that is accepted as long as it asks for nothing: null, or this value.
struct NeutralParameter {
  std::string_view name;
  std::string_view value;  ///< as JSON
};

/// The parameters that one kind of request has beside the common ones.
struct Parameters {
  std::span<const std::string_view> honoured;
  std::span<const NeutralParameter> neutral;
};

/// Throws RequestFault about a parameter.
[[noreturn]] void refuse_parameter(std::string_view param, std::string_view code,
                                   std::string message);
/// The same: it must be `wanted`, such as "a string".
[[noreturn]] void wrong_type(std::string_view param, std::string_view wanted,
                             const nlohmann::json& value);

/// Throws RequestFault for every parameter that is not known, or asks for what is not supported:
/// none is dropped but those that cannot matter to a result, such as "user".
void check_parameters(const nlohmann::json& body, const Parameters& own);

/// The value of a parameter; null when it is absent or null, which mean the same.
const nlohmann::json* given_parameter(const nlohmann::json& body, std::string_view param);

/// A parameter's value, left as it is when the parameter is not given. Throws RequestFault for
/// another type and for values outside [low, high], or the bounds of `type`.
void read_integer(const nlohmann::json& body, std::string_view param, std::int64_t low,
                  std::int64_t high, std::int64_t& result);
void read_number(const nlohmann::json& body, std::string_view param, const ValueType& type,
                 double& result);
void read_boolean(const nlohmann::json& body, std::string_view param, bool& result);
/// Throws RequestFault: a value is not in `range`, such as "above 0".
[[noreturn]] void out_of_range(std::string_view param, std::string_view range,
                               const nlohmann::json& value);
/// A list of at most `most` strings that are not empty, or one such string; `bytes` at most in all.
/// What is given twice counts once.
std::vector<std::string> read_texts(std::string_view param, const nlohmann::json& value,
                                    std::size_t most, Bytes bytes);

/// A list of ids below `vocab`; else RequestFault.
std::vector<TokenId> token_ids(std::string_view param, const nlohmann::json& list,
                               std::int64_t vocab);

/// Fills `line.sampling` and `line.choices` with what the table of sampling parameters
/// (app/job/sampling_parameters.h) allows in bodies; `max_tokens` is the parameter that limits the
/// answer's length, and may be 0 when `line.echo` is set already. Throws RequestFault.
void read_sampling(const nlohmann::json& body, const PromptRules& rules, PromptLine& line,
                   std::string_view max_tokens = "max_tokens");

/// The part of it that is an object: "logit_bias".
void read_logit_bias(const nlohmann::json& body, const PromptRules& rules,
                     SamplingParams& sampling);

/// Fills `line.model`. Throws RequestFault.
void read_model_name(const nlohmann::json& body, PromptLine& line);

/// A JSON value in a message: at most 60 bytes of it.
std::string shown(const nlohmann::json& value);

}  // namespace weft
