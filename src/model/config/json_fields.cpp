#include "model/config/json_fields.h"

#include "base/error.h"
#include "io/json_number.h"

namespace weft {

using nlohmann::json;

JsonFields::JsonFields(const json& object, std::string where)
    : object_(object), where_(std::move(where)) {
  if (!object_.is_object()) fail_user("{}: must be a JSON object", where_);
}

bool JsonFields::has(std::string_view key) const {
  const auto found = object_.find(key);
  return found != object_.end() && !found->is_null();
}

const json& JsonFields::at(std::string_view key) const {
  if (!has(key)) fail_user("{}: {} is missing", where_, key);
  return *object_.find(key);
}

std::int64_t JsonFields::integer(std::string_view key, std::int64_t low, std::int64_t high) const {
  const std::optional<std::int64_t> value = whole_number(at(key));
  if (!value || *value < low || *value > high) {
    refuse(key, fmt::format("must be an integer from {} to {}", low, high));
  }
  return *value;
}

std::int64_t JsonFields::integer_or(std::string_view key, std::int64_t fallback, std::int64_t low,
                                    std::int64_t high) const {
  return has(key) ? integer(key, low, high) : fallback;
}

double JsonFields::number(std::string_view key, double low, double high) const {
  const json& value = at(key);
  const bool good = value.is_number() && value.get<double>() >= low && value.get<double>() <= high;
  if (!good) refuse(key, fmt::format("must be a number from {} to {}", low, high));
  return value.get<double>();
}

double JsonFields::number_or(std::string_view key, double fallback, double low, double high) const {
  return has(key) ? number(key, low, high) : fallback;
}

std::optional<double> JsonFields::maybe_number(std::string_view key, double low,
                                               double high) const {
  return has(key) ? std::optional(number(key, low, high)) : std::nullopt;
}

bool JsonFields::boolean_or(std::string_view key, bool fallback) const {
  if (!has(key)) return fallback;
  if (!at(key).is_boolean()) refuse(key, "must be true or false");
  return at(key).get<bool>();
}

std::string JsonFields::text(std::string_view key) const {
  if (!at(key).is_string()) refuse(key, "must be a string");
  return at(key).get<std::string>();
}

std::string JsonFields::text_or(std::string_view key, std::string_view fallback) const {
  return has(key) ? text(key) : std::string(fallback);
}

void JsonFields::refuse(std::string_view key, std::string_view reason) const {
  const auto found = object_.find(key);
  const std::string value =
      found == object_.end()
          ? "(absent)"
          : found->dump(-1, ' ', false, json::error_handler_t::replace).substr(0, 200);
  fail_user("{}: {} = {}: {}", where_, key, value, reason);
}

}  // namespace weft
