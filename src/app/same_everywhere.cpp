#include "app/same_everywhere.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>
#include <vector>

#include "base/build_id.h"
#include "base/error.h"
#include "base/version.h"
#include "comm/session.h"
#include "model/files/manifest.h"
#include "text/library_versions.h"

namespace weft {

bool check_same_everywhere(const std::string& job, const Digest& model,
                           const std::filesystem::path& prompts, Group& world,
                           const std::function<bool()>& stop) {
  Digest prompts_digest;
  const bool read =
      agree_unless_cancelled(world, [&] { prompts_digest = digest_of_file(prompts, stop); });
  if (!read) return false;
  const std::pair<const char*, std::string> mine[] = {
      {"program (another version or build: weft --version)",
       fmt::format("{} {} {}", kVersion, kContractVersion, build_id())},
      {"library for patterns or for Unicode", text_library_versions()},
      {"job", digest_of(job).hex()},
      {"model", model.hex()},
      {"prompt file", prompts_digest.hex()}};
  const std::vector<std::string> hosts = gather_strings(world, host_name());
  for (const auto& thing : mine) {
    const std::vector<std::string> values = gather_strings(world, thing.second);
    const auto other = std::find_if(values.begin(), values.end(),
                                    [&](const std::string& v) { return v != values.front(); });
    if (other == values.end()) continue;
    const auto rank = static_cast<std::size_t>(other - values.begin());
    agree(world, [&] {
      fail_user("rank {} on {} has another {} than rank 0 on {}", rank, hosts[rank], thing.first,
                hosts.front());
    });
  }
  return true;
}

}  // namespace weft
