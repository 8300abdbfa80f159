// Whether all ranks were given the same.
#pragma once

#include <filesystem>
#include <functional>
#include <string>

#include "base/digest.h"
#include "comm/group.h"

namespace weft {

/// Throws UserError on all ranks, naming a host, when the ranks were given different jobs, models,
/// prompt files or programs (stale copies on a node's own disk, say). `job` is the job as text,
/// `model` the digest of the model's manifest. Of the ranks of a host that have one
/// prompt file, one reads it. False on all ranks when `stop` said so meanwhile.
[[nodiscard]] bool check_same_everywhere(const std::string& job, const Digest& model,
                                         const std::filesystem::path& prompts, Group& world,
                                         const std::function<bool()>& stop);

}  // namespace weft
