// What this host is, and counters of what a run costs it. From /proc and /sys, so all of it may be
// absent in a container.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

namespace weft {

/// What does not change while a job runs. Empty or 0: this host does not tell.
struct HostFacts {
  std::string cpu_model;
  std::string cpu_governor;  ///< of the first core: "performance"
  std::string kernel;        ///< "Linux 6.1.0-18-amd64"
  std::int64_t sockets = 0;
  std::int64_t numa_nodes = 0;
  std::int64_t memory_bytes = 0;
};
/// `root`: the folder with proc/ and sys/.
HostFacts host_facts(const std::filesystem::path& root = "/");

/// The load averages over 1, 5 and 15 minutes; empty where there are none.
std::vector<double> load_average(const std::filesystem::path& root = "/");

/// One energy counter of RAPL (/sys/class/powercap).
struct EnergyCounter {
  std::string name;  ///< "package-0", "package-0 dram"
  std::string zone;  ///< its folder: "intel-rapl:0"
  std::uint64_t microjoules = 0;
  std::uint64_t range = 0;  ///< it starts again at 0 behind this
};
/// The counters that this process may read: mostly root alone may.
std::vector<EnergyCounter> energy_counters(const std::filesystem::path& root = "/");

/// Joules from one reading of a counter to a later one, between which it began again once at most.
double joules_between(const EnergyCounter& begin, const EnergyCounter& end);

/// CPU time of all threads of this process so far, in seconds.
double process_cpu_seconds();

/// The cores that this process may run on: "0-3,8".
std::string own_core_list();
/// "0-3,8" of 0, 1, 2, 3, 8; ascending.
std::string core_list(const std::vector<int>& cores);

/// The environment's variables whose names begin with one of `prefixes`, as "NAME=value", sorted.
std::vector<std::string> variables_of(const std::vector<std::string_view>& prefixes);

}  // namespace weft
