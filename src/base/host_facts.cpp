#include "base/host_facts.h"

#include <fmt/format.h>
#include <sys/resource.h>
#include <sys/utsname.h>
#include <unistd.h>

#include <algorithm>
#include <fstream>
#include <set>
#include <system_error>

#include "base/core_limits.h"

namespace weft {
namespace {

namespace fs = std::filesystem;

std::string first_line(const fs::path& path) {
  std::ifstream file(path);
  std::string text;
  std::getline(file, text);
  return text;
}

/// The number that a file holds; 0 without one.
std::uint64_t number_in(const fs::path& path) {
  std::ifstream file(path);
  std::uint64_t number = 0;
  file >> number;
  return file ? number : 0;
}

/// What is behind the colon of a line of /proc.
std::string value_of(const std::string& line) {
  const std::size_t colon = line.find(':');
  if (colon == std::string::npos) return "";
  const std::size_t start = line.find_first_not_of(" \t", colon + 1);
  return start == std::string::npos ? "" : line.substr(start);
}

void read_cpuinfo(const fs::path& path, HostFacts& facts) {
  std::ifstream file(path);
  std::set<std::string> sockets;
  for (std::string line; std::getline(file, line);) {
    if (facts.cpu_model.empty() && line.starts_with("model name")) facts.cpu_model = value_of(line);
    if (line.starts_with("physical id")) sockets.insert(value_of(line));
  }
  facts.sockets = static_cast<std::int64_t>(sockets.size());
}

std::int64_t count_numa_nodes(const fs::path& folder) {
  std::error_code none;
  std::int64_t count = 0;
  for (const auto& entry : fs::directory_iterator(folder, none)) {
    const std::string name = entry.path().filename();
    const bool digits = name.find_first_not_of("0123456789", 4) == std::string::npos;
    if (name.size() > 4 && name.starts_with("node") && digits) ++count;
  }
  return count;
}

}  // namespace

HostFacts host_facts(const fs::path& root) {
  HostFacts facts;
  read_cpuinfo(root / "proc/cpuinfo", facts);
  facts.cpu_governor = first_line(root / "sys/devices/system/cpu/cpu0/cpufreq/scaling_governor");
  facts.numa_nodes = count_numa_nodes(root / "sys/devices/system/node");
  const std::string total = value_of(first_line(root / "proc/meminfo"));  // "65 kB"
  facts.memory_bytes = std::atoll(total.c_str()) * 1024;
  utsname system{};
  if (::uname(&system) == 0) facts.kernel = fmt::format("{} {}", system.sysname, system.release);
  return facts;
}

std::vector<double> load_average(const fs::path& root) {
  std::ifstream file(root / "proc/loadavg");
  std::vector<double> load(3);
  if (file >> load[0] >> load[1] >> load[2]) return load;
  return {};
}

std::vector<EnergyCounter> energy_counters(const fs::path& root) {
  std::vector<EnergyCounter> counters;
  std::error_code none;
  for (const auto& entry : fs::directory_iterator(root / "sys/class/powercap", none)) {
    const fs::path& folder = entry.path();
    EnergyCounter counter{first_line(folder / "name"), folder.filename(),
                          number_in(folder / "energy_uj"),
                          number_in(folder / "max_energy_range_uj")};
    if (counter.name.empty() || first_line(folder / "energy_uj").empty()) continue;
    counters.push_back(std::move(counter));
  }
  std::sort(counters.begin(), counters.end(),
            [](const EnergyCounter& a, const EnergyCounter& b) { return a.zone < b.zone; });
  return counters;
}

double joules_between(const EnergyCounter& begin, const EnergyCounter& end) {
  const std::uint64_t turn = end.microjoules < begin.microjoules ? end.range : 0;
  return static_cast<double>(end.microjoules + turn - begin.microjoules) * 1e-6;
}

double process_cpu_seconds() {
  rusage usage{};
  if (::getrusage(RUSAGE_SELF, &usage) != 0) return 0;
  const auto seconds = [](const timeval& t) {
    return static_cast<double>(t.tv_sec) + 1e-6 * static_cast<double>(t.tv_usec);
  };
  return seconds(usage.ru_utime) + seconds(usage.ru_stime);
}

std::string core_list(const std::vector<int>& cores) {
  std::string text;
  for (std::size_t i = 0; i < cores.size();) {
    std::size_t last = i;
    while (last + 1 < cores.size() && cores[last + 1] == cores[last] + 1) ++last;
    text += fmt::format("{}{}", text.empty() ? "" : ",", cores[i]);
    if (last > i) text += fmt::format("-{}", cores[last]);
    i = last + 1;
  }
  return text;
}

std::string own_core_list() {
  std::vector<int> mask = own_core_sources().mask;
  std::sort(mask.begin(), mask.end());
  return core_list(mask);
}

std::vector<std::string> variables_of(const std::vector<std::string_view>& prefixes) {
  std::vector<std::string> found;
  for (char** variable = environ; variable != nullptr && *variable != nullptr; ++variable) {
    const std::string_view text = *variable;
    if (std::any_of(prefixes.begin(), prefixes.end(),
                    [&](std::string_view prefix) { return text.starts_with(prefix); })) {
      found.emplace_back(text);
    }
  }
  std::sort(found.begin(), found.end());
  return found;
}

}  // namespace weft
