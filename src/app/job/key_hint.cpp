#include <algorithm>
#include <cstddef>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "app/job/yaml_document.h"
#include "base/error.h"

namespace weft {
namespace {

/// Longer keys are nobody's typing error.
constexpr std::size_t kLongestKey = 64;

constexpr std::size_t kEdit = 2;  ///< cost of an insertion, deletion or substitution
constexpr std::size_t kSwap = 1;  ///< cost of a swap of neighbours, the likeliest slip

/// Least cost of turning `a` into `b` (optimal string alignment: Damerau, "A technique for computer
/// detection and correction of spelling errors", 1964).
std::size_t edit_distance(std::string_view a, std::string_view b) {
  std::vector<std::size_t> before(b.size() + 1);
  std::vector<std::size_t> last(b.size() + 1);
  std::vector<std::size_t> row(b.size() + 1);
  for (std::size_t j = 0; j <= b.size(); ++j) last[j] = j * kEdit;
  for (std::size_t i = 1; i <= a.size(); ++i) {
    row[0] = i * kEdit;
    for (std::size_t j = 1; j <= b.size(); ++j) {
      const std::size_t substitution = last[j - 1] + (a[i - 1] == b[j - 1] ? 0 : kEdit);
      row[j] = std::min({last[j] + kEdit, row[j - 1] + kEdit, substitution});
      if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1]) {
        row[j] = std::min(row[j], before[j - 2] + kSwap);
      }
    }
    std::swap(before, last);
    std::swap(last, row);
  }
  return last[b.size()];
}

/// "engine.isa" as ("engine", "isa"); a top-level name has no section.
std::pair<std::string_view, std::string_view> split(std::string_view key) {
  const std::size_t dot = key.rfind('.');
  if (dot == std::string_view::npos) return {{}, key};
  return {key.substr(0, dot), key.substr(dot + 1)};
}

/// All keys and all sections.
std::set<std::string_view> names_of(std::span<const std::string_view> keys) {
  std::set<std::string_view> names(keys.begin(), keys.end());
  for (const std::string_view key : keys) {
    if (const auto section = split(key).first; !section.empty()) names.insert(section);
  }
  return names;
}

}  // namespace

std::string nearest_key_hint(std::string_view key, std::span<const std::string_view> keys) {
  const std::set<std::string_view> names = names_of(keys);
  const auto [section, leaf] = split(key);
  std::string_view nearest;
  std::size_t nearest_cost = 1000;
  for (const std::string_view name : names) {
    if (key.size() > kLongestKey) break;
    const auto [other_section, other_leaf] = split(name);
    const std::size_t leaf_cost = edit_distance(leaf, other_leaf);
    const std::size_t section_cost = edit_distance(section, other_section);
    const std::size_t tolerated =
        kEdit * std::clamp<std::size_t>(std::max(leaf.size(), other_leaf.size()) / 3, 1, 3);
    if (leaf_cost > tolerated) continue;
    if (leaf_cost > 0 && !section.empty() && section_cost > 2 * kEdit) continue;
    const std::size_t cost = 3 * leaf_cost + section_cost;
    if (cost < nearest_cost) {
      nearest_cost = cost;
      nearest = name;
    }
  }
  if (!nearest.empty()) return fmt::format("; did you mean '{}'?", nearest);

  const bool section_known = section.empty() || names.contains(section);
  std::string valid;
  for (const std::string_view name : names) {
    if (split(name).first != (section_known ? section : std::string_view{})) continue;
    valid += valid.empty() ? "" : ", ";
    valid += split(name).second;
  }
  return section_known && !section.empty()
             ? fmt::format("; the section '{}' has: {}", section, valid)
             : fmt::format("; a job file has: {}", valid);
}

}  // namespace weft
