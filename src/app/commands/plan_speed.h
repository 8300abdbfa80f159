// What `weft plan` says of bytes that travel and of speed.
#pragma once

#include <string>

#include "plan/layout_table.h"
#include "plan/machine_limits.h"

namespace weft {

/// Calls and bytes along each axis in a full step of decode and of prefill, as a table; nothing for
/// a replica of one rank. `verdict` must be that of a possible layout, here and below.
std::string traffic_text(const LayoutVerdict& verdict, bool digest);

/// The predicted times and rates of these steps.
std::string speed_text(const LayoutVerdict& verdict, const MachineLimits& limits, bool digest);

/// Further columns of the table of layouts: headings, a layout's numbers, and what they mean.
/// `context`: how many tokens a decode is behind, at most.
std::string speed_header();
std::string speed_columns(const LayoutVerdict& verdict, const MachineLimits& limits, bool digest,
                          std::int64_t context);
std::string speed_footnote(const MachineLimits& limits);

}  // namespace weft
