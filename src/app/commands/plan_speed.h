// What `weft plan` says of bytes that travel and of speed.
#pragma once

#include <nlohmann/json.hpp>
#include <string>

#include "plan/layout_table.h"
#include "plan/machine_limits.h"
#include "plan/prediction.h"

namespace weft {

/// Calls and bytes along each axis in a full step of decode and of prefill, as a table; nothing for
/// a replica of one rank. `verdict` must be that of a possible layout, here and below.
std::string traffic_text(const LayoutVerdict& verdict, bool digest);

/// The predicted times and rates of these steps.
std::string speed_text(const LayoutVerdict& verdict, const MachineLimits& limits, bool digest,
                       int ranks_per_node);

/// What the predictions mean, and whose limits they are of.
std::string speed_footnote(const MachineLimits& limits);

/// "1.234 ms", "1.234 s".
std::string readable_step(double seconds);

// For programs.
nlohmann::ordered_json layout_json(const Layout& layout);
nlohmann::ordered_json footprint_json(const Footprint& footprint);
nlohmann::ordered_json speed_json(const SpeedPrediction& speed);

}  // namespace weft
