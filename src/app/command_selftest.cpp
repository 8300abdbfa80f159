// `weft selftest`: the proof, on the machine where it matters, that the layout never shows.
#include <fmt/format.h>

#include <cstdio>

#include "app/commands.h"
#include "base/clock.h"
#include "comm/session.h"
#include "proof/prove.h"

namespace weft {
namespace {

constexpr double kProgressSeconds = 10;

int selftest(const SelftestOptions& options, Group& world) {
  const Stopwatch wall;
  const std::vector<ProofModel> models = proof_models();
  ProofScope scope;
  scope.ranks = world.size();
  scope.full = options.full;
  scope.random = options.random;
  scope.seed = options.seed;
  const std::vector<Trial> trials = trials_of(models, scope);
  if (world.rank() == 0) {
    fmt::print("weft selftest: {} trials of {} models on {} ranks\n", trials.size(), models.size(),
               world.size());
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
    for (const std::string& failure : result.failures) fmt::print("  differs: {}\n", failure);
    fmt::print("{} of {} trials gave the bits of one rank alone, in {:.0f} s\n",
               result.trials - static_cast<std::int64_t>(result.failures.size()), result.trials,
               wall.seconds());
  }
  return result.failures.empty() ? kExitSuccess : kExitFailure;
}

}  // namespace

int command_selftest(const SelftestOptions& options) {
  return with_session([&](Group& world) { return selftest(options, world); });
}

}  // namespace weft
