// The cores of a process and of its ranks, and the launcher's word, with files and environments
// that are made up.
#include <filesystem>
#include <fstream>
#include <map>
#include <string>
#include <vector>

#include "app/rank_cores.h"
#include "base/build_id.h"
#include "base/core_limits.h"
#include "catch.h"
#include "comm/launch.h"
#include "temp_dir.h"

namespace weft {
namespace {

using Environment = std::map<std::string, std::string>;

std::function<const char*(const char*)> reader_of(const Environment& environment) {
  return [&environment](const char* name) -> const char* {
    const auto found = environment.find(name);
    return found == environment.end() ? nullptr : found->second.c_str();
  };
}

/// A machine whose process may use eight cores, by its affinity mask.
struct Machine {
  void write(const std::string& file, const std::string& text) const {
    std::filesystem::create_directories((dir / file).parent_path());
    std::ofstream(dir / file) << text;
  }
  [[nodiscard]] CoreShare share(int sharers = 1) const {
    const CoreSources sources{{0, 1, 2, 3, 4, 5, 6, 7}, dir.path(), reader_of(environment)};
    return core_share(core_limits(sources), [=](const std::string&) { return sharers; });
  }

  testing::TempDir dir;
  Environment environment;
};

TEST_CASE("without limits a process has the cores of its mask", "[machine]") {
  const Machine machine;
  CHECK(machine.share().cores == 8);
  CHECK(machine.share().limit == "affinity mask");
  CHECK(machine.share(16).cores == 0.5);
}

TEST_CASE("quotas of control groups, version 2", "[machine]") {
  const Machine machine;
  machine.write("proc/self/cgroup", "0::/a/b\n");
  machine.write("sys/fs/cgroup/a/b/cpu.max", "max 100000\n");
  CHECK(machine.share().cores == 8);
  machine.write("sys/fs/cgroup/a/b/cpu.max", "350000 100000\n");
  CHECK(machine.share().cores == 3);
  CHECK(machine.share().limit == "cpu.max of /a/b");
  SECTION("that of a group above counts when it is less") {
    machine.write("sys/fs/cgroup/a/cpu.max", "200000 100000\n");
    CHECK(machine.share().cores == 2);
    CHECK(machine.share().limit == "cpu.max of /a");
  }
  SECTION("less than a core is one") {
    machine.write("sys/fs/cgroup/a/b/cpu.max", "50000 100000\n");
    CHECK(machine.share().cores == 1);
  }
}

TEST_CASE("a container that sees its group as the root", "[machine]") {
  const Machine machine;
  machine.write("sys/fs/cgroup/cpu.max", "100000 100000\n");
  machine.write("proc/self/cgroup", "0::/\n");
  CHECK(machine.share().cores == 1);
  CHECK(machine.share().limit == "cpu.max of /");
  machine.write("proc/self/cgroup", "0::/docker/0123\n");  // a path of the host, not seen here
  CHECK(machine.share().cores == 1);
}

TEST_CASE("quotas of control groups, version 1", "[machine]") {
  const Machine machine;
  machine.write("proc/self/cgroup",
                "5:memory:/m\n4:cpuset:/s\n3:cpu,cpuacct:/job\n2:cpuacct:/other\n0::/x\n");
  const std::string folder = GENERATE(as<std::string>(), "cpu", "cpu,cpuacct");
  machine.write("sys/fs/cgroup/" + folder + "/job/cpu.cfs_quota_us", "-1\n");
  machine.write("sys/fs/cgroup/" + folder + "/job/cpu.cfs_period_us", "100000\n");
  CHECK(machine.share().cores == 8);
  machine.write("sys/fs/cgroup/" + folder + "/job/cpu.cfs_quota_us", "400000\n");
  CHECK(machine.share().cores == 4);
  CHECK(machine.share().limit == "cpu.cfs_quota_us of /job");
}

TEST_CASE("damaged and unusual control group files limit nothing", "[machine]") {
  const Machine machine;
  machine.write("proc/self/cgroup", "nonsense\n0::no/slash\n1:cpu\n\n0::/a\n");
  machine.write("sys/fs/cgroup/a/cpu.max", "0 0\n");
  CHECK(machine.share().cores == 8);
  machine.write("sys/fs/cgroup/a/cpu.max", "-5 100000\n");
  CHECK(machine.share().cores == 8);
  machine.write("sys/fs/cgroup/a/cpu.max", "");
  CHECK(machine.share().cores == 8);
}

TEST_CASE("Slurm's variables", "[machine]") {
  Machine machine;
  machine.environment = {{"SLURM_CPUS_PER_TASK", "2"}, {"SLURM_CPUS_ON_NODE", "6"}};
  CHECK(machine.share().cores == 8);  // outside of a job they are someone's habit
  machine.environment["SLURM_JOB_ID"] = "7";
  CHECK(machine.share().cores == 2);
  CHECK(machine.share().limit == "SLURM_CPUS_PER_TASK");
  machine.environment.erase("SLURM_CPUS_PER_TASK");
  CHECK(machine.share(3).cores == 2);  // all tasks of the node share them
  CHECK(machine.share(3).limit == "SLURM_CPUS_ON_NODE");
  machine.environment["SLURM_CPUS_ON_NODE"] = "many";
  CHECK(machine.share().cores == 8);
}

TEST_CASE("this process has cores", "[machine]") {
  CHECK(available_cores() >= 1);
  CHECK(host_cores() >= 1);
}

RankCores rank_with(double cores, int threads, const std::string& host = "n1") {
  return {host, 8, 2, cores, "affinity mask", threads};
}

TEST_CASE("ranks that have fewer cores than their host has for them", "[machine]") {
  CHECK(core_warnings({rank_with(4, 4), rank_with(4, 4)}).empty());
  const auto all = core_warnings({rank_with(1, 1), rank_with(1, 1)});
  REQUIRE(all.size() == 1);
  CHECK_THAT(all[0],
             Catch::Matchers::StartsWith(
                 "each rank has 1 core (affinity mask), though its host has 8 for 2 ranks"));
  const auto one = core_warnings({rank_with(4, 4), rank_with(2, 2, "n2")});
  REQUIRE(one.size() == 1);
  CHECK_THAT(one[0], Catch::Matchers::StartsWith("rank 1 on n2 has 2 cores"));
  CHECK(fewest_cores({rank_with(4, 4), rank_with(2, 2, "n2")}).host == "n2");
}

TEST_CASE("more threads than cores are always told", "[machine]") {
  RankCores crowded = rank_with(0.5, 1, "n2");
  crowded.ranks_on_host = 16;
  const auto lines = core_warnings({rank_with(4, 4), crowded});
  REQUIRE(lines.size() == 2);
  CHECK_THAT(lines[1], Catch::Matchers::StartsWith("2.0 threads on each core of rank 1 on n2"));
  const auto asked = core_warnings({rank_with(4, 6)});
  REQUIRE(asked.size() == 1);
  CHECK_THAT(asked[0], Catch::Matchers::StartsWith("1.5 threads on each core of rank 0 on n1"));
}

TEST_CASE("threads of a rank", "[machine]") {
  CHECK(threads_of(std::nullopt, 3.5) == 3);
  CHECK(threads_of(std::nullopt, 0.25) == 1);
  CHECK(threads_of(7, 1) == 7);
}

Launch launch(const Environment& environment) { return launch_of(reader_of(environment)); }

TEST_CASE("how a process was launched", "[launch]") {
  CHECK(launch({}).rank == -1);
  CHECK(launch({}).ranks == 0);
  const Launch mpirun = launch({{"OMPI_COMM_WORLD_RANK", "3"},
                                {"OMPI_COMM_WORLD_SIZE", "4"},
                                // mpirun's daemon is a task of srun's
                                {"SLURM_STEP_ID", "0"},
                                {"SLURM_STEP_NUM_TASKS", "2"},
                                {"SLURM_PROCID", "1"}});
  CHECK(mpirun.rank == 3);
  CHECK(mpirun.ranks == 4);
  CHECK_FALSE(mpirun.lacks_pmi);
  const Launch batch =
      launch({{"SLURM_JOB_ID", "1"}, {"SLURM_PROCID", "0"}, {"SLURM_NTASKS", "4"}});
  CHECK(batch.rank == 0);
  CHECK(batch.ranks == 0);
  CHECK(batch.waiting_tasks == 4);
  CHECK(mpirun.waiting_tasks == 0);
  CHECK_FALSE(batch.lacks_pmi);
}

TEST_CASE("tasks of srun", "[launch]") {
  Environment step = {{"SLURM_STEP_ID", "0"}, {"SLURM_STEP_NUM_TASKS", "4"}, {"SLURM_PROCID", "2"}};
  const Launch none = launch(step);
  CHECK(none.ranks == 4);
  CHECK(none.lacks_pmi);
  CHECK(doubtful_launch(none).has_value());
  CHECK(lone_ranks(none, 1).has_value());
  CHECK_FALSE(lone_ranks(none, 4).has_value());
  CHECK(launch({{"SLURM_STEPID", "0"}, {"SLURM_NTASKS", "4"}}).ranks == 4);
  step["PMIX_RANK"] = "2";
  CHECK_FALSE(doubtful_launch(launch(step)).has_value());
  const Launch single = launch({{"SLURM_STEP_ID", "0"}, {"SLURM_STEP_NUM_TASKS", "1"}});
  CHECK_FALSE(doubtful_launch(single).has_value());
  CHECK_FALSE(lone_ranks(single, 1).has_value());
}

TEST_CASE("this program's build is told by digits", "[machine]") {
  const std::string id = build_id();
  CHECK((id == "unknown" || id.find_first_not_of("0123456789abcdef") == std::string::npos));
  CHECK(id == build_id());
}

}  // namespace
}  // namespace weft
