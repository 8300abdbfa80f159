#include "app/same_everywhere.h"

#include <fmt/format.h>
#include <sys/stat.h>

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
namespace {

/// The file itself, as this host knows it; empty where there is none.
std::string identity_of_file(const std::filesystem::path& path) {
  struct stat status = {};
  if (::stat(path.c_str(), &status) != 0) return {};
  return fmt::format("{}:{}:{}:{}.{}", status.st_dev, status.st_ino, status.st_size,
                     status.st_mtim.tv_sec, status.st_mtim.tv_nsec);
}

/// Whether no rank before this one has the same file on the same host.
bool is_first_of_file(const std::filesystem::path& path, Group& world) {
  const std::string mine = host_name() + ' ' + identity_of_file(path);
  const std::vector<std::string> files = gather_strings(world, mine);
  const auto me = files.begin() + world.rank();
  return std::find(files.begin(), me, mine) == me;
}

}  // namespace

bool check_same_everywhere(const std::string& job, const Digest& model,
                           const std::filesystem::path& prompts, Group& world,
                           const std::function<bool()>& stop) {
  std::string prompts_digest;
  const bool reads = is_first_of_file(prompts, world);
  const bool read = agree_unless_cancelled(world, [&] {
    if (reads) prompts_digest = digest_of_file(prompts, stop).hex();
  });
  if (!read) return false;
  const std::pair<const char*, std::string> mine[] = {
      {"program (another version or build: weft --version)",
       fmt::format("{} {} {}", kVersion, kContractVersion, build_id())},
      {"library for patterns or for Unicode", text_library_versions()},
      {"job", digest_of(job).hex()},
      {"model", model.hex()},
      {"prompt file", prompts_digest}};
  const std::vector<std::string> hosts = gather_strings(world, host_name());
  for (const auto& thing : mine) {
    const std::vector<std::string> values = gather_strings(world, thing.second);
    const auto other = std::find_if(values.begin(), values.end(), [&](const std::string& value) {
      return !value.empty() && value != values.front();
    });
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
