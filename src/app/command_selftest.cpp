// `weft selftest`: the proof, on the machine where it matters, that the layout never shows.
#include <fmt/format.h>

#include <cstdio>
#include <set>
#include <string>

#include "app/cli.h"
#include "app/commands.h"
#include "base/clock.h"
#include "comm/session.h"
#include "proof/prove.h"

namespace weft {
namespace {

constexpr double kProgressSeconds = 10;

/// "956 trials: 8 models, 71 layouts, 83 schedules".
std::string describe(const std::vector<Trial>& trials) {
  std::set<std::size_t> models;
  std::set<std::string> layouts;
  std::set<std::string> schedules;
  for (const Trial& trial : trials) {
    models.insert(trial.model);
    layouts.insert(to_string(trial.layout));
    schedules.insert(trial.schedule.name);
  }
  return fmt::format("{} trials: {} models, {} layouts, {} schedules", trials.size(), models.size(),
                     layouts.size(), schedules.size());
}

int selftest(const SelftestOptions& options, Group& world) {
  const Stopwatch wall;
  const std::vector<ProofModel> models = proof_models();
  ProofScope scope;
  scope.ranks = world.size();
  scope.full = options.full;
  scope.random = options.random;
  scope.seed = options.seed;
  scope.most = options.trials;
  const std::vector<Trial> trials = trials_of(models, scope);
  if (world.rank() == 0) {
    fmt::print("weft selftest: {} on {} ranks\n", describe(trials), world.size());
    std::fflush(stdout);
  }
  double told = 0;
  const ProofResult result = prove(models, trials, world, [&](std::int64_t done) {
    if (world.rank() != 0 || wall.seconds() - told < kProgressSeconds) return;
    told = wall.seconds();
    fmt::print("  about {} done after {:.0f} s\n", done, told);
    std::fflush(stdout);
  });
  if (world.rank() == 0) {
    for (std::size_t i = 0; i < models.size(); ++i) {
      fmt::print("  {}  {}\n", result.digests[i].hex(), models[i].name);
    }
    for (const std::string& failure : result.failures) fmt::print("  FAILED: {}\n", failure);
    fmt::print(
        "{} of {} trials gave the bits of one rank alone, {} of them with preemption, in "
        "{:.0f} s\n",
        result.trials - static_cast<std::int64_t>(result.failures.size()), result.trials,
        result.preempting, wall.seconds());
  }
  return result.failures.empty() ? kExitSuccess : kExitFailure;
}

}  // namespace

int command_selftest(const SelftestOptions& options) {
  SessionWatch watch;
  watch.rank = launched_rank();
  return with_session(
      watch, [&](Group& world, JobControl& /*control*/) { return selftest(options, world); });
}

}  // namespace weft
