#include "base/machine.h"

#include <sched.h>

#include <algorithm>
#include <fstream>
#include <limits>
#include <string>
#include <thread>

namespace weft {
namespace {

/// MemAvailable of /proc/meminfo.
Bytes kernel_estimate() {
  std::ifstream file("/proc/meminfo");
  std::string key;
  Bytes kibibytes = 0;
  std::string rest;
  while (file >> key >> kibibytes && std::getline(file, rest)) {
    if (key == "MemAvailable:") return kibibytes << 10;
  }
  return std::numeric_limits<Bytes>::max();
}

/// A number in a file of the control group; nothing when absent or "max".
Bytes group_number(const char* path, Bytes otherwise) {
  std::ifstream file(path);
  Bytes value = 0;
  return file >> value ? value : otherwise;
}

/// What is left of the control group's limit (version 2, then version 1).
Bytes group_estimate() {
  constexpr Bytes kNone = std::numeric_limits<Bytes>::max();
  Bytes limit = group_number("/sys/fs/cgroup/memory.max", kNone);
  Bytes used = group_number("/sys/fs/cgroup/memory.current", 0);
  if (limit == kNone) {
    limit = group_number("/sys/fs/cgroup/memory/memory.limit_in_bytes", kNone);
    used = group_number("/sys/fs/cgroup/memory/memory.usage_in_bytes", 0);
  }
  if (limit == kNone) return kNone;
  return limit > used ? limit - used : 0;
}

}  // namespace

int available_cores() {
  cpu_set_t mask;
  CPU_ZERO(&mask);
  if (sched_getaffinity(0, sizeof(mask), &mask) == 0) return std::max(CPU_COUNT(&mask), 1);
  return std::max(static_cast<int>(std::thread::hardware_concurrency()), 1);
}

Bytes available_memory() { return std::min(kernel_estimate(), group_estimate()); }

}  // namespace weft
