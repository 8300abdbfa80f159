// A group whose operations are charged to the phase "communication".
#pragma once

#include <memory>

#include "base/tracer.h"
#include "comm/group.h"

namespace weft {

/// The same group, every operation a span of `tracer`. Within the phases "waiting" and "bubble"
/// nothing is charged anew: there the ranks wait for each other, they exchange no tensors. `tracer`
/// must outlive the group and what is split off.
std::unique_ptr<Group> make_timed_group(std::unique_ptr<Group> group, Tracer& tracer);

}  // namespace weft
