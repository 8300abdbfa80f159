// A group whose operations are counted.
#pragma once

#include <memory>

#include "comm/group.h"
#include "comm/traffic.h"

namespace weft {

/// The same group, every operation in which bytes travel added to `traffic` under `axis`: a few
/// additions a call. `group` and `traffic` must outlive it and what is split off.
std::unique_ptr<Group> make_counting_group(Group& group, Primitive axis, Traffic& traffic);

}  // namespace weft
