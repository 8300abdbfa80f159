#include "base/host_facts.h"

#include <fstream>

#include "catch.h"
#include "temp_dir.h"

namespace {

using namespace weft;
using testing::TempDir;

void put(const std::filesystem::path& path, const std::string& text) {
  std::filesystem::create_directories(path.parent_path());
  std::ofstream(path) << text;
}

}  // namespace

TEST_CASE("a host is described by its files in proc and sys", "[host_facts]") {
  const TempDir dir;
  const auto& root = dir.path();
  CHECK(host_facts(root).cpu_model.empty());
  CHECK(host_facts(root).memory_bytes == 0);
  CHECK(load_average(root).empty());
  CHECK(energy_counters(root).empty());
  put(root / "proc/cpuinfo",
      "processor\t: 0\nmodel name\t: Fast 9000\nphysical id\t: 0\n\n"
      "processor\t: 1\nmodel name\t: Fast 9000\nphysical id\t: 1\n");
  put(root / "proc/meminfo", "MemTotal:        1024 kB\nMemFree: 3 kB\n");
  put(root / "proc/loadavg", "0.50 1.25 2.00 1/200 42\n");
  put(root / "sys/devices/system/node/node0/cpulist", "0\n");
  put(root / "sys/devices/system/node/node12/cpulist", "1\n");
  put(root / "sys/devices/system/node/online", "0-1\n");
  put(root / "sys/devices/system/cpu/cpu0/cpufreq/scaling_governor", "performance\n");
  const HostFacts facts = host_facts(root);
  CHECK(facts.cpu_model == "Fast 9000");
  CHECK(facts.sockets == 2);
  CHECK(facts.numa_nodes == 2);
  CHECK(facts.memory_bytes == 1 << 20);
  CHECK(facts.cpu_governor == "performance");
  CHECK(load_average(root) == std::vector<double>{0.5, 1.25, 2.0});
}

TEST_CASE("energy counters are read and may begin again once", "[host_facts]") {
  const TempDir dir;
  const auto zone = dir.path() / "sys/class/powercap/intel-rapl:0";
  put(zone / "name", "package-0\n");
  CHECK(energy_counters(dir.path()).empty());  // it tells no energy
  put(zone / "energy_uj", "9000000\n");
  put(zone / "max_energy_range_uj", "10000000\n");
  const std::vector<EnergyCounter> before = energy_counters(dir.path());
  REQUIRE(before.size() == 1);
  CHECK(before[0].name == "package-0");
  put(zone / "energy_uj", "9500000\n");
  CHECK(joules_between(before[0], energy_counters(dir.path())[0]) == Approx(0.5));
  put(zone / "energy_uj", "2000000\n");
  CHECK(joules_between(before[0], energy_counters(dir.path())[0]) == Approx(3.0));
}

TEST_CASE("lists of cores are written as ranges", "[host_facts]") {
  CHECK(core_list({}).empty());
  CHECK(core_list({5}) == "5");
  CHECK(core_list({0, 1, 2, 3, 8, 10, 11}) == "0-3,8,10-11");
  CHECK_FALSE(own_core_list().empty());
}
