// The table of `weft plan --ranks`: every layout of so many ranks.
#pragma once

#include <memory>
#include <optional>
#include <string>

#include "app/job/job.h"
#include "plan/layout_table.h"
#include "plan/machine_limits.h"

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

/// Judges a layout for as many ranks as the setting has.
LayoutVerdict judge_in(const PlanSetting& setting, const Layout& layout);

/// Those layouts that are possible, with memory and, where limits are set, speed; then the others,
/// with every reason.
std::string table_text(const PlanSetting& setting);

}  // namespace weft
