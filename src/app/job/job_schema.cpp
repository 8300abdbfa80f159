// The table of keys as a JSON Schema.
#include <nlohmann/json.hpp>
#include <utility>

#include "app/job/job.h"
#include "app/job/job_reference.h"

namespace weft {
namespace {

using nlohmann::json;
using ordered = nlohmann::ordered_json;
using Kind = ValueType::Kind;

/// A scalar that weft takes as text, whatever YAML makes of it.
ordered text_schema() { return {{"type", {"string", "number", "boolean"}}, {"minLength", 1}}; }

ordered texts_schema(const ValueType& type) {
  ordered list = {{"type", "array"}, {"items", text_schema()}, {"maxItems", type.high}};
  return {{"anyOf", {text_schema(), std::move(list)}}};
}

ordered integer_schema(const ValueType& type) {
  ordered schema = {{"type", "integer"}, {"minimum", type.low}, {"maximum", type.high}};
  if (type.step > 1) schema["multipleOf"] = type.step;
  return schema;
}

ordered number_schema(const ValueType& type) {
  return {{"type", "number"},
          {type.above_least ? "exclusiveMinimum" : "minimum", type.least},
          {"maximum", type.most}};
}

ordered memory_schema() {
  const ordered bytes = {{"type", "integer"}, {"minimum", 1024}};
  const ordered size = {{"type", "string"}, {"pattern", "^[0-9]+ ?([KMGT]i?)?B?$"}};
  const ordered fraction = {{"type", "number"}, {"exclusiveMinimum", 0}, {"maximum", 1}};
  return {{"anyOf", {bytes, size, fraction}}};
}

ordered duration_schema() {
  const ordered seconds = {{"type", "integer"}, {"minimum", 1}};
  const ordered units = {{"type", "string"}, {"pattern", "^([0-9]+h)?([0-9]+m)?([0-9]+s)?$"}};
  return {{"anyOf", {seconds, units}}};
}

/// "auto" as a string; `true` and `0` as what YAML makes of them.
ordered word_value(std::string_view word) {
  const json value = json::parse(word, nullptr, false);
  return value.is_discarded() ? json(word) : value;
}

ordered words_schema(const ValueType& type) {
  ordered values = ordered::array();
  for (const std::string_view word : type.words()) values.push_back(word_value(word));
  return {{"enum", std::move(values)}};
}

ordered kind_schema(const ValueType& type) {
  switch (type.kind) {
    case Kind::path:
    case Kind::text:
      return text_schema();
    case Kind::texts:
      return texts_schema(type);
    case Kind::boolean:
      return {{"type", "boolean"}};
    case Kind::word:
      return words_schema(type);
    case Kind::integer:
      return integer_schema(type);
    case Kind::integer64:
      return {{"type", "integer"}};
    case Kind::number:
      return number_schema(type);
    case Kind::token_ids:
      return {{"type", "array"}, {"items", {{"type", "integer"}, {"minimum", 0}}}};
    case Kind::duration:
      return duration_schema();
    case Kind::memory:
      return memory_schema();
    case Kind::biases:
      break;  // no job has it
  }
  return {};
}

ordered schema_of(const JobKey& key) {
  const bool has_words = key.type.kind != Kind::word && !key.type.words().empty();
  ordered schema = {{"description", plain_text(key.meaning)}};
  const ordered kind = kind_schema(key.type);
  if (has_words) {
    schema["anyOf"] = {words_schema(key.type), kind};
  } else {
    schema.update(kind);
  }
  if (!key.required) schema["default"] = word_value(key.write({}));
  return schema;
}

/// A mapping without keys yet.
ordered object_schema() {
  return {{"type", "object"}, {"additionalProperties", false}, {"properties", ordered::object()}};
}

void add(ordered& object, const std::string& name, ordered schema, bool required) {
  object["properties"][name] = std::move(schema);
  if (required) object["required"].push_back(name);
}

}  // namespace

std::string job_schema() {
  ordered schema = {{"$schema", "https://json-schema.org/draft/2020-12/schema"},
                    {"title", "weft job file"},
                    {"description", "What weft run and weft plan are told."}};
  schema.update(object_schema());
  for (const JobKey& key : job_keys()) {
    const std::size_t dot = key.path.find('.');
    if (dot == std::string::npos) {
      add(schema, key.path, schema_of(key), key.required);
      continue;
    }
    const std::string section = key.path.substr(0, dot);
    if (!schema["properties"].contains(section)) add(schema, section, object_schema(), false);
    add(schema["properties"][section], key.path.substr(dot + 1), schema_of(key), key.required);
    if (key.old_path.empty()) continue;
    ordered old = schema_of(key);
    old["deprecated"] = true;
    add(schema["properties"][section], std::string(key.old_path.substr(dot + 1)), old, false);
  }
  for (auto& [name, section] : schema["properties"].items()) {
    if (!section.contains("properties")) continue;
    if (section.contains("required")) {
      schema["required"].push_back(name);
    } else {
      section["type"] = {"object", "null"};  // a section without keys is none
    }
  }
  return schema.dump(2) + "\n";
}

}  // namespace weft
