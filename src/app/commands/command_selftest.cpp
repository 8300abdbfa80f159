// `weft selftest`: the proof, on the machine where it matters, that the layout never shows.
#include <fmt/format.h>

#include <algorithm>
#include <cstdio>
#include <set>
#include <string>

#include "app/commands/cli.h"
#include "app/commands/commands.h"
#include "app/job/job.h"
#include "app/stop_request.h"
#include "base/clock.h"
#include "base/error.h"
#include "comm/launch.h"
#include "comm/session.h"
#include "proof/prove.h"

namespace weft {
namespace {

constexpr double kProgressSeconds = 10;

/// "956 trials, 301 of them with several replicas: 8 models, 71 layouts, 83 schedules".
std::string describe(const std::vector<Trial>& trials) {
  std::set<std::size_t> models;
  std::set<std::string> layouts;
  std::set<std::string> schedules;
  for (const Trial& trial : trials) {
    models.insert(trial.model);
    layouts.insert(to_string(trial.layout));
    schedules.insert(trial.schedule.name);
  }
  const auto replicated = std::count_if(trials.begin(), trials.end(),
                                        [](const Trial& trial) { return trial.layout.dp > 1; });
  return fmt::format(
      "{} trials, {} of them with several replicas: {} models, {} layouts, {} schedules",
      trials.size(), replicated, models.size(), layouts.size(), schedules.size());
}

ProofScope scope_of(const SelftestOptions& options, int ranks) {
  if (options.part > options.parts) {
    fail_user("--part {} is above --parts, which is {}", options.part, options.parts);
  }
  ProofScope scope;
  scope.ranks = ranks;
  scope.full = options.full;
  scope.random = options.random;
  scope.seed = options.seed;
  scope.parts = options.parts;
  scope.part = options.part;
  scope.most = options.trials;
  return scope;
}

/// Tells every now and then, on rank 0, how far the proof is.
class ProgressLines {
 public:
  ProgressLines(std::size_t trials, bool silent) : trials_(trials), silent_(silent) {}

  void tell(std::int64_t done) {
    const double now = wall_.seconds();
    if (silent_ || now - told_ < kProgressSeconds) return;
    // Of late: trials of more ranks come later and take longer.
    const double pace = static_cast<double>(done - done_) / (now - told_);
    const double left = static_cast<double>(trials_) - static_cast<double>(done);
    fmt::print("  about {} of {} done after {:.0f} s", done, trials_, now);
    if (pace > 0) fmt::print("; the rest takes {:.0f} s at the pace of late", left / pace);
    fmt::print("\n");
    std::fflush(stdout);
    told_ = now;
    done_ = done;
  }
  [[nodiscard]] double seconds() const { return wall_.seconds(); }

 private:
  std::size_t trials_;
  bool silent_;
  Stopwatch wall_;
  double told_ = 0;
  std::int64_t done_ = 0;
};

void print_result(const ProofResult& result, const std::vector<ProofModel>& models,
                  std::size_t trials, double seconds) {
  for (std::size_t i = 0; i < models.size(); ++i) {
    fmt::print("  tokens {} logits {}  {}\n", result.digests[i].tokens.hex(),
               result.digests[i].logits.hex(), models[i].name);
  }
  for (const std::string& failure : result.failures) fmt::print("  FAILED: {}\n", failure);
  fmt::print(
      "{} of {} trials gave the bits of one rank alone, {} of them with preemption, in {:.0f} s\n",
      result.trials - static_cast<std::int64_t>(result.failures.size()), result.trials,
      result.preempting, seconds);
  const auto left = static_cast<std::int64_t>(trials) - result.trials;
  if (left > 0) fmt::print("stopped before the end: {} trials were not tried\n", left);
}

int selftest(const SelftestOptions& options, Group& world, const JobControl& control) {
  const std::vector<ProofModel> models = proof_models();
  ProofScope scope;
  agree(world, [&] { scope = scope_of(options, world.size()); });
  const std::vector<Trial> trials = trials_of(models, scope);
  if (world.rank() == 0) {
    fmt::print("weft selftest: {} on {} ranks\n", describe(trials), world.size());
    std::fflush(stdout);
  }
  ProgressLines lines(trials.size(), world.rank() != 0);
  const ProofResult result =
      prove(models, trials, world,
            {[&](std::int64_t done) { lines.tell(done); }, [&] { return control.stop_asked(); }});
  if (world.rank() == 0) print_result(result, models, trials.size(), lines.seconds());
  if (!result.failures.empty()) return kExitFailure;
  // Who limits the time is content with what was tried until then.
  const bool in_time = options.time_limit > 0 && !StopRequest::signalled();
  const bool complete = result.trials == static_cast<std::int64_t>(trials.size());
  return complete || in_time ? kExitSuccess : kExitResumable;
}

}  // namespace

int command_selftest(const SelftestOptions& options) {
  StopRequest stop;
  if (options.time_limit > 0) stop.limit(static_cast<double>(options.time_limit));
  const Launch launch = own_launch();
  JobControl control(JobEngine{}.watchdog_seconds, &StopRequest::pending, launch.rank);
  return with_session(control, launch,
                      [&](Group& world) { return selftest(options, world, control); });
}

}  // namespace weft
