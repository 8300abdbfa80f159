#include "app/weight_loading.h"

#include <algorithm>

#include "comm/session.h"
#include "io/file_system.h"

namespace weft {

bool broadcasts_weights(WeightLoading asked, int replicas, const std::vector<std::string>& hosts,
                        bool local) {
  if (replicas == 1 || asked == WeightLoading::read) return false;
  if (asked == WeightLoading::broadcast) return true;
  const bool one_host = std::all_of(hosts.begin(), hosts.end(),
                                    [&](const std::string& host) { return host == hosts.front(); });
  return !one_host && !local;
}

bool broadcasts_weights(WeightLoading asked, int replicas, const std::filesystem::path& model,
                        Group& world) {
  const std::vector<std::string> local =
      gather_strings(world, on_local_file_system(model) ? "local" : "");
  return broadcasts_weights(asked, replicas, gather_strings(world, host_name()),
                            std::find(local.begin(), local.end(), "") == local.end());
}

}  // namespace weft
