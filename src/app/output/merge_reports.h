// One report out of those of all ranks.
#pragma once

#include "app/output/report.h"
#include "comm/group.h"

namespace weft {

/// Brings the ranks' figures together, on every rank: tokens, latencies and preemptions of all
/// replicas, the largest times and memory, the ranks' phases compared, the hosts. Every rank must
/// call it.
void merge_reports(RunReport& report, Group& world);

}  // namespace weft
