// `weft plan --simulate`: how long the job's prompt file takes.
#pragma once

#include <nlohmann/json.hpp>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "app/commands/commands.h"
#include "app/commands/plan_table.h"
#include "plan/hardware.h"
#include "plan/simulation.h"

namespace weft {

/// The requests of the job's prompt file, as tokens. `answers`: how long their answers are: "max"
/// (max_tokens), a number of tokens, "LOW-HIGH" (evenly spread) or the output directory of an
/// earlier run of the file; never more than max_tokens. Lines that are refused are left out.
/// Throws UserError where there is no prompt file, or no tokenizer for it.
std::vector<SimulatedRequest> simulated_requests(const Job& job, std::int64_t vocab,
                                                 const std::string& answers);

/// A layout and what became of the job on it.
struct SimulatedLayout {
  Layout layout;
  int nodes = 1;
  Simulation simulation;

  [[nodiscard]] double node_hours() const { return nodes * simulation.seconds / 3600; }
};

/// Simulates a possible layout of the setting.
SimulatedLayout simulate_layout(const PlanSetting& setting, const Layout& layout,
                                const Hardware& hardware,
                                std::span<const SimulatedRequest> requests);

/// The layouts of so many ranks that are possible, the fastest first: all of them, or where there
/// are more than `most` those with the best bound of speed.
std::vector<SimulatedLayout> simulate_layouts(PlanSetting& setting, int ranks,
                                              const Hardware& hardware,
                                              std::span<const SimulatedRequest> requests,
                                              std::size_t most);

/// One layout's figures. `time_limit`: seconds of each run, for the number of runs.
std::string simulation_text(const SimulatedLayout& simulated, const PlanSetting& setting,
                            std::optional<std::int64_t> time_limit);
/// The best ten (or `all`), and which one is best and why.
std::string ranking_text(std::span<const SimulatedLayout> layouts, const PlanSetting& setting,
                         bool all);
/// The best layout for each number of nodes, and where more of them stop being worth it.
std::string scaling_text(std::span<const SimulatedLayout> best);

nlohmann::ordered_json simulation_json(const SimulatedLayout& simulated);

/// What to say of axes that talk in every layer and span nodes; empty where none does.
std::string topology_warning(const Layout& layout, int ranks_per_node);

}  // namespace weft
