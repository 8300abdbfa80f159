// What the service threads send each other.
#pragma once

#include <cstdint>

#include "comm/control/activity.h"
#include "comm/control/claims.h"

namespace weft {

/// One letter. Plain bytes; behind those of `group` follow the group's members.
struct ControlMessage {
  enum class Kind : std::uint8_t {
    heartbeat,
    claim,
    grant,
    stop,
    group,
    done,
    all_done,
    end,  ///< the job has failed: leave
    bye,  ///< the sender's last letter
  };
  Kind kind = Kind::heartbeat;
  Grant grant;
  std::int32_t replica = 0;
  std::int32_t status = 1;  ///< of `end`: what the process leaves with
  RankState state;
};

}  // namespace weft
