#include "app/output/environment.h"

#include <cstdlib>
#include <nlohmann/json.hpp>
#include <string_view>

#include "base/build_id.h"
#include "base/version.h"
#include "comm/session.h"

namespace weft {
namespace {

using nlohmann::ordered_json;

ordered_json or_null(const std::string& text) {
  return text.empty() ? ordered_json() : ordered_json(text);
}

ordered_json or_null(std::int64_t number) {
  return number == 0 ? ordered_json() : ordered_json(number);
}

ordered_json or_null(const std::vector<double>& numbers) {
  return numbers.empty() ? ordered_json() : ordered_json(numbers);
}

/// Joules by counter; null when no counter was readable both times.
ordered_json joules(const CostCounters& begin, const CostCounters& end) {
  ordered_json energy;
  for (const EnergyCounter& before : begin.energy) {
    for (const EnergyCounter& after : end.energy) {
      if (before.zone != after.zone) continue;
      energy.push_back({{"counter", before.zone},
                        {"name", before.name},
                        {"joules", joules_between(before, after)}});
    }
  }
  return energy;
}

ordered_json host_json(const CostCounters& begin, const CostCounters& end) {
  const HostFacts facts = host_facts();
  return {{"name", host_name()},
          {"cpu_model", or_null(facts.cpu_model)},
          {"sockets", or_null(facts.sockets)},
          {"numa_nodes", or_null(facts.numa_nodes)},
          {"governor", or_null(facts.cpu_governor)},
          {"memory_bytes", or_null(facts.memory_bytes)},
          {"kernel", or_null(facts.kernel)},
          {"load_average_at_start", or_null(begin.load)},
          {"load_average_at_end", or_null(end.load)},
          {"energy", joules(begin, end)}};
}

ordered_json variable(const char* name) {
  const char* const text = std::getenv(name);
  return text == nullptr ? ordered_json() : ordered_json(text);
}

ordered_json slurm_json() {
  if (std::getenv("SLURM_JOB_ID") == nullptr) return {};
  return {{"job", variable("SLURM_JOB_ID")},
          {"array_job", variable("SLURM_ARRAY_JOB_ID")},
          {"array_task", variable("SLURM_ARRAY_TASK_ID")},
          {"step", variable("SLURM_STEP_ID")},
          {"nodes", variable("SLURM_JOB_NODELIST")}};
}

ordered_json variables_json() {
  ordered_json variables = ordered_json::object();
  for (const std::string& text : variables_of({"OMP_", "OMPI_", "NCCL_", "UCX_"})) {
    const std::size_t equals = text.find('=');
    variables[text.substr(0, equals)] = text.substr(equals + 1);
  }
  return variables;
}

std::string dumped(const ordered_json& json) {
  return json.dump(-1, ' ', false, ordered_json::error_handler_t::replace);
}

}  // namespace

CostCounters read_costs() { return {process_cpu_seconds(), load_average(), energy_counters()}; }

std::string environment_json(const CostCounters& begin, const std::vector<RankCores>& cores,
                             Group& world) {
  const CostCounters end = read_costs();
  const auto me = static_cast<std::size_t>(world.rank());
  const ordered_json rank = {{"rank", me},
                             {"host", host_name()},
                             {"cores", own_core_list()},
                             {"threads", cores[me].threads},
                             {"cpu_seconds", end.cpu_seconds - begin.cpu_seconds}};
  ordered_json mine = {{"rank", rank}};
  // A host is described by the first of its ranks.
  if (host_share(world).rank == 0) mine["host"] = host_json(begin, end);
  ordered_json hosts = ordered_json::array();
  ordered_json ranks = ordered_json::array();
  for (const std::string& text : gather_strings(world, dumped(mine))) {
    const ordered_json other = ordered_json::parse(text);
    ranks.push_back(other.at("rank"));
    if (other.contains("host")) hosts.push_back(other.at("host"));
  }
  return dumped(
      {{"hosts", hosts},
       {"ranks", ranks},
       {"mpi", mpi_library()},
       {"openmp", {{"proc_bind", variable("OMP_PROC_BIND")}, {"places", variable("OMP_PLACES")}}},
       {"build", {{"id", build_id()}, {"compiler", __VERSION__}}},
       {"slurm", slurm_json()},
       {"variables", variables_json()}});
}

}  // namespace weft
