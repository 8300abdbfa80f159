#include "base/core_limits.h"

#include <sched.h>
#include <unistd.h>

#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <fstream>
#include <limits>
#include <optional>
#include <string_view>

namespace weft {
namespace {

/// The whole number that a text begins with, when it is above 0.
std::optional<std::int64_t> positive(const char* text) {
  if (text == nullptr) return std::nullopt;
  const std::int64_t value = std::strtoll(text, nullptr, 10);
  return value > 0 ? std::optional(value) : std::nullopt;
}

/// The first word of a file; empty when there is none.
std::string word_in(const std::filesystem::path& path) {
  std::ifstream file(path);
  std::string word;
  file >> word;
  return word;
}

/// Whole cores of a quota of processor time, one at least.
int cores_of(std::int64_t quota, std::int64_t period) {
  constexpr std::int64_t most = std::numeric_limits<int>::max();
  return static_cast<int>(std::clamp<std::int64_t>(quota / period, 1, most));
}

/// Cores by cpu.max, "200000 100000" or "max 100000".
std::optional<int> unified_quota(const std::filesystem::path& group) {
  std::ifstream file(group / "cpu.max");
  std::string quota;
  std::string period;
  file >> quota >> period;
  const auto a = positive(quota.c_str());
  const auto b = positive(period.c_str());
  return a && b ? std::optional(cores_of(*a, *b)) : std::nullopt;
}

/// Cores by version 1's files; its quota is -1 where there is none.
std::optional<int> legacy_quota(const std::filesystem::path& group) {
  const auto a = positive(word_in(group / "cpu.cfs_quota_us").c_str());
  const auto b = positive(word_in(group / "cpu.cfs_period_us").c_str());
  return a && b ? std::optional(cores_of(*a, *b)) : std::nullopt;
}

/// One line of /proc/self/cgroup, "N:CONTROLLERS:PATH". Version 2 has no controllers.
struct GroupLine {
  std::string controllers;
  std::string path;

  static std::optional<GroupLine> parse(const std::string& line) {
    const std::size_t first = line.find(':');
    const std::size_t second = first == std::string::npos ? first : line.find(':', first + 1);
    if (second == std::string::npos) return std::nullopt;
    return GroupLine{line.substr(first + 1, second - first - 1), line.substr(second + 1)};
  }

  [[nodiscard]] bool has(std::string_view controller) const {
    return ("," + controllers + ",").find("," + std::string(controller) + ",") != std::string::npos;
  }
};

/// Adds the quotas of a group and of all groups above it. A container may not see its own group
/// under the path that the kernel gives: then only what lies at the mount's root is found.
void add_quotas(const std::filesystem::path& mount, const GroupLine& line,
                std::vector<CoreLimit>& limits) {
  const bool unified = line.controllers.empty();
  for (std::string path = line.path == "/" ? "" : line.path;; path.resize(path.rfind('/'))) {
    const std::filesystem::path group = mount.string() + path;
    const auto cores = unified ? unified_quota(group) : legacy_quota(group);
    const char* file = unified ? "cpu.max" : "cpu.cfs_quota_us";
    const std::string what = std::string(file) + " of " + (path.empty() ? "/" : path);
    if (cores) limits.push_back({*cores, what, what});
    if (path.empty() || path.find('/') == std::string::npos) break;
  }
}

void add_group_limits(const CoreSources& sources, std::vector<CoreLimit>& limits) {
  std::ifstream file(sources.root / "proc/self/cgroup");
  const std::filesystem::path mounts = sources.root / "sys/fs/cgroup";
  std::string text;
  while (std::getline(file, text)) {
    const auto line = GroupLine::parse(text);
    if (!line) continue;
    if (line->controllers.empty()) {
      // Beside version 1 a mount of version 2 may lie one folder deeper, without this controller.
      add_quotas(mounts, *line, limits);
    } else if (line->has("cpu")) {
      const bool combined = std::filesystem::exists(mounts / line->controllers);
      add_quotas(mounts / (combined ? line->controllers : "cpu"), *line, limits);
    }
  }
}

void add_slurm_limits(const CoreSources& sources, std::vector<CoreLimit>& limits) {
  if (sources.variable("SLURM_JOB_ID") == nullptr) return;
  constexpr const char* per_task = "SLURM_CPUS_PER_TASK";
  constexpr const char* on_node = "SLURM_CPUS_ON_NODE";
  if (const auto cores = positive(sources.variable(per_task))) {
    limits.push_back({cores_of(*cores, 1), per_task, {}});
  }
  if (const auto cores = positive(sources.variable(on_node))) {
    limits.push_back({cores_of(*cores, 1), on_node, on_node});
  }
}

}  // namespace

CoreSources own_core_sources() {
  CoreSources sources;
  cpu_set_t mask;
  CPU_ZERO(&mask);
  if (sched_getaffinity(0, sizeof(mask), &mask) == 0) {
    for (int core = 0; core < CPU_SETSIZE; ++core) {
      if (CPU_ISSET(core, &mask)) sources.mask.push_back(core);
    }
  } else {  // more cores than the type has room for
    for (int core = 0; core < host_cores(); ++core) sources.mask.push_back(core);
  }
  sources.variable = [](const char* name) { return std::getenv(name); };
  return sources;
}

std::vector<CoreLimit> core_limits(const CoreSources& sources) {
  std::string mask = "cores ";
  for (const int core : sources.mask) mask += std::to_string(core) + ",";
  std::vector<CoreLimit> limits;
  limits.push_back(
      {std::max(1, static_cast<int>(sources.mask.size())), "affinity mask", std::move(mask)});
  add_group_limits(sources, limits);
  add_slurm_limits(sources, limits);
  return limits;
}

CoreShare core_share(const std::vector<CoreLimit>& limits,
                     const std::function<int(const std::string& shared)>& sharers) {
  CoreShare least{std::numeric_limits<double>::infinity(), {}};
  for (const CoreLimit& limit : limits) {
    const int ranks = limit.shared.empty() ? 1 : std::max(1, sharers(limit.shared));
    const double cores = static_cast<double>(limit.cores) / ranks;
    if (cores < least.cores) least = {cores, limit.what};
  }
  return least;
}

int available_cores() {
  return static_cast<int>(core_share(core_limits(), [](const std::string&) { return 1; }).cores);
}

int host_cores() { return std::max(1, static_cast<int>(sysconf(_SC_NPROCESSORS_ONLN))); }

}  // namespace weft
