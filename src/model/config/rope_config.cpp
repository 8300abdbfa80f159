#include "model/config/rope_config.h"

#include "base/error.h"

namespace weft {
namespace {

using nlohmann::json;

constexpr double kFactorCap = 1e6;
constexpr double kThetaCap = 1e15;

void refuse_partial(const JsonFields& fields) {
  if (fields.number_or("partial_rotary_factor", 1, 0, 1) != 1) {
    fields.refuse("partial_rotary_factor", "only 1 (rotation of whole heads) is supported");
  }
}

/// Positions that the model was trained with: a key beside the dictionary wins over one in it;
/// without either it is the model's own length.
double original_positions(const JsonFields& fields, const JsonFields& rope,
                          std::int64_t max_positions) {
  constexpr std::string_view key = "original_max_position_embeddings";
  return static_cast<double>(fields.has(key)
                                 ? fields.integer(key, 1, kPositionsCap)
                                 : rope.integer_or(key, max_positions, 1, kPositionsCap));
}

void parse_llama3(const JsonFields& rope, RopeScaling& scaling) {
  scaling.type = RopeScaling::Type::llama3;
  scaling.factor = rope.number("factor", 1, kFactorCap);
  scaling.low_freq_factor = rope.number("low_freq_factor", 1e-6, kFactorCap);
  scaling.high_freq_factor = rope.number("high_freq_factor", 1e-6, kFactorCap);
  if (scaling.high_freq_factor <= scaling.low_freq_factor) {
    rope.refuse("high_freq_factor", "must be greater than low_freq_factor");
  }
}

void parse_yarn(const JsonFields& rope, std::int64_t max_positions, RopeScaling& scaling) {
  scaling.type = RopeScaling::Type::yarn;
  const double stretch = static_cast<double>(max_positions) / scaling.original_max_positions;
  scaling.factor = rope.number_or("factor", stretch, 1, kFactorCap);
  const auto number_unless_zero = [&](const char* key, double fallback) {
    const double value = rope.number_or(key, fallback, 0, kFactorCap);
    return value == 0 ? fallback : value;
  };
  scaling.beta_fast = number_unless_zero("beta_fast", 32);
  scaling.beta_slow = number_unless_zero("beta_slow", 1);
  scaling.truncate = rope.boolean_or("truncate", true);
  scaling.attention_factor = rope.maybe_number("attention_factor", 0, kFactorCap);
  scaling.mscale = rope.maybe_number("mscale", 0, kFactorCap);
  scaling.mscale_all_dim = rope.maybe_number("mscale_all_dim", 0, kFactorCap);
}

/// The dictionary of rotary parameters: `rope_scaling` of older files, else `rope_parameters`.
const json* rope_dictionary(const json& object) {
  for (const char* key : {"rope_scaling", "rope_parameters"}) {
    const auto found = object.find(key);
    if (found != object.end() && !found->is_null() && !found->empty()) return &*found;
  }
  return nullptr;
}

}  // namespace

RopeConfig parse_rope(const JsonFields& fields, const json& object, std::int64_t max_positions,
                      double default_theta) {
  RopeConfig config;
  refuse_partial(fields);
  config.theta = fields.number_or("rope_theta", default_theta, 1, kThetaCap);
  const json* dictionary = rope_dictionary(object);
  if (dictionary == nullptr) return config;
  const JsonFields rope(*dictionary, fields.where() + ": rope parameters");
  for (const auto& [key, value] : dictionary->items()) {
    if (value.is_object()) rope.refuse(key, "rope parameters by kind of layer are not supported");
  }
  refuse_partial(rope);
  config.theta = rope.number_or("rope_theta", config.theta, 1, kThetaCap);
  const char* type_key = rope.has("rope_type") ? "rope_type" : "type";
  const std::string type = rope.text_or(type_key, "default");
  if (type == "default") return config;
  if (type == "linear") {
    config.scaling.type = RopeScaling::Type::linear;
    config.scaling.factor = rope.number("factor", 1, kFactorCap);
    return config;
  }
  if (type != "llama3" && type != "yarn") {
    rope.refuse(type_key, "not supported; supported are default, linear, llama3 and yarn");
  }
  config.scaling.original_max_positions = original_positions(fields, rope, max_positions);
  if (type == "llama3") {
    parse_llama3(rope, config.scaling);
  } else {
    parse_yarn(rope, max_positions, config.scaling);
  }
  return config;
}

}  // namespace weft
