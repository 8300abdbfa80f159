// A group whose waits are told to an Activity.
#pragma once

#include <functional>
#include <memory>
#include <vector>

#include "comm/control/activity.h"
#include "comm/group.h"

namespace weft {

/// Told of each group, on every member: the group's name and its members as ranks of the job.
using OnGroup = std::function<void(std::uint64_t group, const std::vector<int>& members)>;

/// The same group, with every operation watched, and the groups that are split off. `rank` is this
/// rank in the job. `activity` and what `on_group` refers to must outlive them. Every rank of the
/// group must call it, with the same `parent` and a `parent` of its own for each call.
std::unique_ptr<Group> make_watched_group(std::unique_ptr<Group> group, Activity& activity,
                                          int rank, std::uint64_t parent, const OnGroup& on_group);

}  // namespace weft
