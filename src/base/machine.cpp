#include "base/machine.h"

#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <ctime>
#include <fstream>
#include <limits>
#include <sstream>
#include <string>

namespace weft {
namespace {

constexpr Bytes kUnlimited = std::numeric_limits<Bytes>::max();

/// MemAvailable of /proc/meminfo.
Bytes kernel_estimate() {
  std::ifstream file("/proc/meminfo");
  std::string key;
  Bytes kibibytes = 0;
  std::string rest;
  while (file >> key >> kibibytes && std::getline(file, rest)) {
    if (key == "MemAvailable:") return kibibytes << 10;
  }
  return kUnlimited;
}

/// A number in a file; `otherwise` when absent or "max".
Bytes number_in(const std::string& path, Bytes otherwise) {
  std::ifstream file(path);
  Bytes value = 0;
  return file >> value ? value : otherwise;
}

/// What one control group has left under its own limit. Cached file pages count as free: the
/// kernel gives them up first.
Bytes left_in(const std::string& group, const char* limit_file, const char* usage_file) {
  const Bytes limit = number_in(group + limit_file, kUnlimited);
  if (limit == kUnlimited) return kUnlimited;
  Bytes used = number_in(group + usage_file, 0);
  std::ifstream statistics(group + "/memory.stat");
  std::string key;
  Bytes value = 0;
  while (statistics >> key >> value) {
    if (key == "inactive_file") used -= std::min(used, value);
  }
  return limit > used ? limit - used : 0;
}

/// The least of what this process's control group and the groups above it have left. Batch systems
/// put a job's limit there.
Bytes group_estimate() {
  std::ifstream file("/proc/self/cgroup");
  std::string line;
  Bytes least = kUnlimited;
  while (std::getline(file, line)) {
    // "0::/path" is version 2; "N:…memory…:/path" version 1.
    const std::size_t first = line.find(':');
    const std::size_t second = first == std::string::npos ? first : line.find(':', first + 1);
    if (second == std::string::npos) continue;
    const std::string controllers = line.substr(first + 1, second - first - 1);
    const bool unified = controllers.empty();
    if (!unified && controllers.find("memory") == std::string::npos) continue;
    const std::string root = unified ? "/sys/fs/cgroup" : "/sys/fs/cgroup/memory";
    for (std::string path = line.substr(second + 1);; path.resize(path.rfind('/'))) {
      const std::string group = root + (path == "/" ? "" : path);
      least = std::min(
          least, unified ? left_in(group, "/memory.max", "/memory.current")
                         : left_in(group, "/memory.limit_in_bytes", "/memory.usage_in_bytes"));
      if (path.empty() || path == "/") break;
    }
  }
  return least;
}

}  // namespace

double process_age() {
  std::ifstream file("/proc/self/stat");
  std::string text;
  std::getline(file, text);
  // Numbers follow the program's name, which is in brackets and may hold anything. The start is
  // the 22nd field, the state behind the name the third.
  std::istringstream fields(text.substr(std::min(text.rfind(')') + 1, text.size())));
  std::string field;
  for (int i = 3; i <= 22; ++i) fields >> field;
  timespec now{};
  clock_gettime(CLOCK_BOOTTIME, &now);
  const double ticks = std::strtod(field.c_str(), nullptr);
  return static_cast<double>(now.tv_sec) + static_cast<double>(now.tv_nsec) * 1e-9 -
         ticks / static_cast<double>(sysconf(_SC_CLK_TCK));
}

Bytes available_memory() { return std::min(kernel_estimate(), group_estimate()); }

}  // namespace weft
