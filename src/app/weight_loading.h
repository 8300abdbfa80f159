// Whether replicas read their weights themselves.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "app/job/job.h"
#include "comm/group.h"

namespace weft {

/// Whether one replica is to read and the others to receive. `hosts`: of all ranks; `replicas` of
/// them share the model; `local`: the model lies on a local file system of every host.
///
/// `auto` looks at what bounds the reading. On one host the block cache gives all replicas what one
/// has read; a model on local disks is read by all hosts at once. From a shared file system the
/// same bytes would be fetched once for each host: there a broadcast is faster.
bool broadcasts_weights(WeightLoading asked, int replicas, const std::vector<std::string>& hosts,
                        bool local);

/// The same, agreed on by all ranks of the job for a model directory.
bool broadcasts_weights(WeightLoading asked, int replicas, const std::filesystem::path& model,
                        Group& world);

}  // namespace weft
