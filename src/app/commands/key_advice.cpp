#include "app/commands/key_advice.h"

#include <fmt/format.h>

#include <algorithm>
#include <string_view>

#include "app/job/job.h"

namespace weft {
namespace {

/// The key of that path or, where `by_leaf`, the first whose last part it is; else empty.
std::string_view key_of(std::string_view name, bool by_leaf) {
  for (const JobKey& key : job_keys()) {
    const std::string_view path = key.path;
    const bool is_leaf = by_leaf && path.substr(path.rfind('.') + 1) == name;
    if (path == name || is_leaf) return path;
  }
  return {};
}

}  // namespace

std::string key_advice(std::span<const char* const> words,
                       const std::function<bool(const std::string&)>& is_option) {
  for (std::size_t i = 1; i < words.size(); ++i) {
    const std::string_view word = words[i];
    const bool dashed = word.starts_with("--");
    const std::size_t equals = word.find('=');
    const bool has_value = equals != std::string_view::npos;
    const bool set = std::string_view(words[i - 1]) == "--set";
    if (set || (!dashed && !has_value)) continue;
    const std::string given(word.substr(0, equals));
    if (dashed && is_option(given)) continue;
    std::string name = given.substr(dashed ? 2 : 0);
    std::replace(name.begin(), name.end(), '-', '_');
    const std::string_view key = key_of(name, dashed);
    if (key.empty()) continue;
    std::string_view value = "VALUE";
    if (has_value) {
      value = word.substr(equals + 1);
    } else if (i + 1 < words.size() && words[i + 1][0] != '-') {
      value = words[i + 1];
    }
    return fmt::format("'{}' is a key of the job: write --set {}={}", given, key, value);
  }
  return {};
}

}  // namespace weft
