// The watch that a rank keeps over itself, while it hears of no other.
#pragma once

#include <optional>
#include <string>

#include "comm/control/activity.h"
#include "comm/control/watch_time.h"

namespace weft {

/// Why the job cannot go on, for people: this rank has got nothing done for too long, or has waited
/// too long for an answer; nothing while all is well. `who`: "rank 0 on n1". Waits in the group
/// `patient` may last: the others, of whom nothing is heard, may be at work. `later`: looks by
/// which to be slower.
std::optional<std::string> stuck_alone(const RankState& state, const std::string& who,
                                       const WatchTime& time, std::uint64_t patient, int later);

}  // namespace weft
