// The table of `weft plan --ranks`: the layouts of so many ranks, best first.
#pragma once

#include <cstdint>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "app/job/job.h"
#include "plan/layout_table.h"
#include "plan/machine_limits.h"
#include "plan/prediction.h"

namespace weft {

/// What all verdicts of one call have in common.
struct PlanSetting {
  ModelFacts model;
  bool converted = true;
  JobEngine engine;
  std::unique_ptr<OpSizes> ops;
  std::string memory_source;
  int ranks = 1;
  int ranks_per_node = 1;
  Bytes memory = 0;                     ///< of each rank
  std::optional<MachineLimits> limits;  ///< of each rank, where speed is to be predicted
  bool digest = false;
};

/// What layouts are compared by.
enum class PlanOrder { decode, prefill, memory };
/// "decode", "prefill", "memory". Throws UserError for others.
PlanOrder plan_order(std::string_view name);

/// Judges a layout for as many ranks as the setting has.
LayoutVerdict judge_in(const PlanSetting& setting, const Layout& layout);

/// One layout of the table.
struct PlannedLayout {
  Layout layout;
  std::vector<std::string> violations;  ///< why it is not possible; empty: it is
  Footprint most;                       ///< of the rank that holds most
  std::int64_t kv_tokens = 0;           ///< that the caches of one replica hold
  std::optional<SpeedPrediction> speed;
};

PlannedLayout planned(const PlanSetting& setting, const Layout& layout);

/// All layouts: possible ones first, the best by `order` at the top (by memory: the most room for
/// keys and values in all replicas together); the others as `layouts_of` gives them.
std::vector<PlannedLayout> planned_layouts(const PlanSetting& setting, PlanOrder order);

/// As a table of at most 100 columns: the best ten, or `all` with the reasons why the others are
/// not possible.
std::string table_text(const PlanSetting& setting, std::span<const PlannedLayout> layouts,
                       PlanOrder order, bool all);

/// The same for programs: every layout.
nlohmann::ordered_json table_json(std::span<const PlannedLayout> layouts);

}  // namespace weft
