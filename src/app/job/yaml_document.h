// The strict layer over yaml-cpp: two levels of keys, nothing implied, every error with its place.
#pragma once

#include <filesystem>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "app/job/yaml_value.h"
#include "base/types.h"

namespace weft {

/// Longest YAML file that is read.
inline constexpr Bytes kYamlCap = Bytes{1} << 20;

/// The values of a YAML file whose keys are known beforehand. Keys are dotted paths ("engine.isa");
/// all that stands before a dot is a section.
class YamlDocument {
 public:
  /// Reads a file. Throws UserError "FILE:LINE: …" for anything but one document that is a mapping
  /// of known keys, each given once, to scalars or lists of scalars: no anchors, aliases, tags,
  /// merge keys, empty values, binary bytes.
  static YamlDocument load(const std::filesystem::path& file,
                           std::span<const std::string_view> keys);

  /// A document without values, for what `set` sets.
  static YamlDocument empty(std::span<const std::string_view> keys) { return {"--set", keys}; }

  /// Sets "key.path=value", in place of what the file says. A value that starts with '[' is a YAML
  /// list, anything else is taken as it stands. Throws UserError "--set KEY: …".
  void set(std::string_view assignment);

  /// The value of a key; nullptr when it is not given.
  [[nodiscard]] const YamlValue* find(std::string_view key) const;

  /// The file's name, for messages.
  [[nodiscard]] const std::string& name() const { return name_; }

 private:
  YamlDocument(std::string name, std::span<const std::string_view> keys)
      : name_(std::move(name)), keys_(keys.begin(), keys.end()) {}

  std::string name_;
  std::vector<std::string_view> keys_;
  std::vector<YamlValue> values_;
};

/// "; did you mean 'engine.kv_block'?" when a known key is near enough, else a list of those that
/// are valid in the same section. Distance: Damerau-Levenshtein over last parts, then sections.
std::string nearest_key_hint(std::string_view key, std::span<const std::string_view> keys);

}  // namespace weft
