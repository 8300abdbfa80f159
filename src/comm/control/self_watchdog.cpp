#include "comm/control/self_watchdog.h"

#include <fmt/format.h>

#include "comm/control/heartbeat_monitor.h"

namespace weft {

std::optional<std::string> stuck_alone(const RankState& state, const std::string& who,
                                       const WatchTime& time, std::uint64_t patient, int later) {
  if (time.limit == 0 || is_patient(state.operation)) return std::nullopt;
  if (state.operation == Operation::none) {
    if (state.ticks < std::int64_t{kStillness} * time.limit + later) return std::nullopt;
    return stillness_text(who, time.seconds, describe(state));
  }
  if (state.group == patient || state.ticks < time.limit + later) return std::nullopt;
  return fmt::format(
      "{}: no answer for {:g} s in {} {} (engine.watchdog_seconds): a peer has stopped or cannot "
      "be reached; the job ends here; run it again to go on",
      who, time.seconds, name(state.operation), state.call);
}

}  // namespace weft
