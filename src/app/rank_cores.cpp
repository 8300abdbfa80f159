#include "app/rank_cores.h"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "base/core_limits.h"
#include "comm/session.h"

namespace weft {
namespace {

double threads_per_core(const RankCores& rank) { return rank.threads / rank.cores; }

/// The whole cores that a host has for one of its ranks.
int host_share_of(const RankCores& rank) {
  return std::max(1, rank.host_cores / std::max(1, rank.ranks_on_host));
}

/// "1 core", "0.5 cores".
std::string counted(double cores) {
  return fmt::format("{:.3g} core{}", cores, cores == 1 ? "" : "s");
}

std::string name_of(const std::vector<RankCores>& ranks, const RankCores& rank) {
  return fmt::format("rank {} on {}", &rank - ranks.data(), rank.host);
}

/// This rank's part of what ranks of its host share.
CoreShare own_share(Group& world) {
  const std::vector<CoreLimit> limits = core_limits();
  nlohmann::json mine = nlohmann::json::array({host_name()});
  for (const CoreLimit& limit : limits) mine.push_back(limit.shared);
  std::vector<nlohmann::json> all;
  for (const std::string& text : gather_strings(world, mine.dump())) {
    all.push_back(nlohmann::json::parse(text));
  }
  return core_share(limits, [&](const std::string& shared) {
    return static_cast<int>(std::count_if(all.begin(), all.end(), [&](const nlohmann::json& other) {
      return other[0] == mine[0] &&
             std::find(other.begin() + 1, other.end(), shared) != other.end();
    }));
  });
}

}  // namespace

int threads_of(const std::optional<int>& asked, double cores) {
  return asked ? *asked : std::max(1, static_cast<int>(cores));
}

std::vector<RankCores> rank_cores(const std::optional<int>& threads, Group& world) {
  const CoreShare share = own_share(world);
  const nlohmann::json mine = {host_name(), host_cores(), host_share(world).ranks,
                               share.cores, share.limit,  threads_of(threads, share.cores)};
  std::vector<RankCores> ranks;
  for (const std::string& text : gather_strings(world, mine.dump())) {
    const nlohmann::json rank = nlohmann::json::parse(text);
    ranks.push_back({rank[0], rank[1], rank[2], rank[3], rank[4], rank[5]});
  }
  return ranks;
}

const RankCores& fewest_cores(const std::vector<RankCores>& ranks) {
  return *std::min_element(ranks.begin(), ranks.end(), [](const RankCores& a, const RankCores& b) {
    return a.cores < b.cores;
  });
}

std::vector<std::string> core_warnings(const std::vector<RankCores>& ranks) {
  std::vector<std::string> lines;
  const auto few = [](const RankCores& r) { return r.cores < host_share_of(r); };
  const auto busier = [](const RankCores& a, const RankCores& b) {
    return threads_per_core(a) < threads_per_core(b);
  };
  const RankCores& busiest = *std::max_element(ranks.begin(), ranks.end(), busier);
  if (const auto one = std::find_if(ranks.begin(), ranks.end(), few); one != ranks.end()) {
    const bool all = std::all_of(ranks.begin(), ranks.end(), [&](const RankCores& r) {
      return r.cores == one->cores && r.limit == one->limit;
    });
    lines.push_back(fmt::format(
        "{} has {} ({}), though its host has {} for {} rank{}: srun's --cpus-per-task or mpirun's "
        "--bind-to none may give more",
        all ? "each rank" : name_of(ranks, *one), counted(one->cores), one->limit, one->host_cores,
        one->ranks_on_host, one->ranks_on_host == 1 ? "" : "s"));
  }
  if (threads_per_core(busiest) > 1) {
    lines.push_back(fmt::format(
        "{:.1f} threads on each core of {} ({}): they will wait for each other for most of the "
        "time; start fewer ranks there, or lower engine.threads",
        threads_per_core(busiest), name_of(ranks, busiest), busiest.limit));
  }
  return lines;
}

}  // namespace weft
