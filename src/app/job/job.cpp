#include "app/job/job.h"

#include <array>
#include <vector>

#include "app/job/yaml_document.h"
#include "base/error.h"
#include "base/version.h"

namespace weft {
namespace {

template <class Enum, std::size_t N>
std::string_view name_in(const std::array<std::string_view, N>& names, Enum value) {
  return names.at(static_cast<std::size_t>(value));
}

std::vector<std::string_view> key_paths() {
  std::vector<std::string_view> paths;
  for (const JobKey& key : job_keys()) {
    paths.push_back(key.path);
    if (!key.old_path.empty()) paths.push_back(key.old_path);
  }
  return paths;
}

/// Throws UserError when the value is not of the key's type.
void read_key(const JobKey& key, const YamlValue& value, Job& job) {
  check_type(key.type, value);
  key.read(value, job);
}

/// The key's value, by the name that it has or had; null where there is none. Throws UserError for
/// both.
const YamlValue* find_value(const JobKey& key, const YamlDocument& document) {
  const YamlValue* const value = document.find(key.path);
  const YamlValue* const old = key.old_path.empty() ? nullptr : document.find(key.old_path);
  if (value != nullptr && old != nullptr) {
    old->refuse(fmt::format("is an older name of {}, which is there, too", key.path));
  }
  return value != nullptr ? value : old;
}

/// Rules that tie two keys together.
void check_together(const Job& job, const YamlDocument& document) {
  const YamlValue* min_tokens = document.find("sampling.min_tokens");
  if (min_tokens != nullptr && job.sampling.min_tokens > job.sampling.max_tokens) {
    min_tokens->refuse(
        fmt::format("must not be above sampling.max_tokens ({})", job.sampling.max_tokens));
  }
}

}  // namespace

std::string_view name(InputFormat format) {
  static constexpr std::array<std::string_view, 3> names = {"openai", "jsonl", "text"};
  return name_in(names, format);
}

std::string_view name(SpecialTokens special_tokens) {
  static constexpr std::array<std::string_view, 3> names = {"auto", "text", "parse"};
  return name_in(names, special_tokens);
}

std::string_view name(LostMessages lost) {
  static constexpr std::array<std::string_view, 2> names = {"error", "warn"};
  return name_in(names, lost);
}

std::string_view name(Device device) {
  static constexpr std::array<std::string_view, 3> names = {"auto", "cpu", "cuda"};
  return name_in(names, device);
}

std::string_view name(Numerics numerics) {
  static constexpr std::array<std::string_view, 2> names = {"invariant", "fast"};
  return name_in(names, numerics);
}

std::string_view name(WeightLoading loading) {
  static constexpr std::array<std::string_view, 3> names = {"auto", "read", "broadcast"};
  return name_in(names, loading);
}

std::string_view name(Speculation speculation) {
  static constexpr std::array<std::string_view, 2> names = {"none", "lookup"};
  return name_in(names, speculation);
}

std::string_view name(Collectives collectives) {
  static constexpr std::array<std::string_view, 3> names = {"auto", "nccl", "staged"};
  return name_in(names, collectives);
}

Job load_job(const std::filesystem::path& file, std::span<const std::string> overrides) {
  const std::vector<std::string_view> paths = key_paths();
  YamlDocument document = YamlDocument::load(file, paths);
  for (const std::string& assignment : overrides) document.set(assignment);
  Job job;
  for (const JobKey& key : job_keys()) {
    const YamlValue* value = find_value(key, document);
    if (value != nullptr) {
      read_key(key, *value, job);
    } else if (key.required) {
      fail_user("{}:1: the required key '{}' is missing", document.name(), key.path);
    }
  }
  check_together(job, document);
  return job;
}

double watchdog_before_job_file(std::span<const std::string> overrides) {
  constexpr std::string_view kKey = "engine.watchdog_seconds";
  Job job;
  try {
    YamlDocument document = YamlDocument::empty(key_paths());
    for (const std::string& assignment : overrides) document.set(assignment);
    for (const JobKey& key : job_keys()) {
      const YamlValue* value = document.find(key.path);
      if (key.path == kKey && value != nullptr) read_key(key, *value, job);
    }
  } catch (const UserError&) {
    return JobEngine{}.watchdog_seconds;
  }
  return job.engine.watchdog_seconds;
}

std::string to_yaml(const Job& job) {
  std::string text = fmt::format("# The effective job, written by weft {}.\n", kVersion);
  std::string_view section;
  for (const JobKey& key : job_keys()) {
    const std::string_view path = key.path;
    const std::size_t dot = path.find('.');
    if (dot == std::string_view::npos) {
      text += fmt::format("{}: {}\n", path, key.write(job));
      continue;
    }
    if (section != path.substr(0, dot)) {
      section = path.substr(0, dot);
      text += fmt::format("{}:\n", section);
    }
    text += fmt::format("  {}: {}\n", path.substr(dot + 1), key.write(job));
  }
  return text;
}

}  // namespace weft
