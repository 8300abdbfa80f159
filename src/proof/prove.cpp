#include "proof/prove.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <numeric>

#include "base/error.h"
#include "proof/outcome.h"

namespace weft {
namespace {

/// A folder of this rank's own, removed at the end.
class Scratch {
 public:
  Scratch() {
    std::string pattern = (std::filesystem::temp_directory_path() / "weft-proof-XXXXXX").string();
    if (::mkdtemp(pattern.data()) == nullptr) fail("cannot make the folder {}", pattern);
    path_ = pattern;
  }
  Scratch(const Scratch&) = delete;
  Scratch& operator=(const Scratch&) = delete;
  ~Scratch() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  [[nodiscard]] const std::filesystem::path& path() const { return path_; }

 private:
  std::filesystem::path path_;
};

/// A model, its requests and what they become on one rank alone.
struct Prepared {
  std::filesystem::path path;
  std::vector<Request> requests;
  std::vector<Outcome> expected;  ///< by request
};

Prepared prepare(const ProofModel& model, const std::filesystem::path& folder, Group& world) {
  Prepared prepared;
  // Ranks read differently cut shard sets: those must not matter either.
  prepared.path = write_proof_model(model, folder, 1 + world.rank() % 3);
  prepared.requests = proof_requests(model.config.at("vocab_size").get<std::int64_t>());
  prepared.expected.resize(prepared.requests.size());
  if (world.rank() == 0) {
    const auto alone = make_self_group();
    ReplicaOptions options;
    options.max_sequence_length = kProofLength;
    const auto completions = Replica(prepared.path, options, *alone).complete(prepared.requests);
    prepared.expected = outcomes_of(completions);
    require(prepared.expected.size() == prepared.requests.size(), "{} of {} requests came back",
            prepared.expected.size(), prepared.requests.size());
  }
  world.broadcast(std::as_writable_bytes(std::span(prepared.expected)), 0);
  return prepared;
}

ProofDigests digests_of(const std::vector<Outcome>& outcomes) {
  Digester tokens;
  Digester logits;
  for (const Outcome& outcome : outcomes) {
    tokens.add(outcome.tokens.hex());
    logits.add(outcome.logits.hex());
  }
  return {tokens.result(), logits.result()};
}

/// Every rank's value, by rank.
std::vector<std::int64_t> gather(Group& group, std::int64_t value) {
  std::vector<std::int64_t> values(static_cast<std::size_t>(group.size()));
  group.all_gather(std::as_bytes(std::span(&value, 1)), std::as_writable_bytes(std::span(values)),
                   equal_counts(group, sizeof value));
  return values;
}

std::int64_t sum_over(Group& group, std::int64_t value) {
  const std::vector<std::int64_t> values = gather(group, value);
  return std::accumulate(values.begin(), values.end(), std::int64_t{0});
}

/// Every rank's outcomes, by rank.
std::vector<std::vector<Outcome>> gather(Group& group, const std::vector<Outcome>& mine) {
  std::vector<Bytes> bytes;
  for (const std::int64_t count : gather(group, static_cast<std::int64_t>(mine.size()))) {
    bytes.push_back(static_cast<Bytes>(count) * sizeof(Outcome));
  }
  std::vector<Outcome> all(std::reduce(bytes.begin(), bytes.end()) / sizeof(Outcome));
  group.all_gather(std::as_bytes(std::span(mine)), std::as_writable_bytes(std::span(all)), bytes);
  std::vector<std::vector<Outcome>> of_ranks;
  auto next = all.begin();
  for (const Bytes own : bytes) {
    const auto end = next + static_cast<std::ptrdiff_t>(own / sizeof(Outcome));
    of_ranks.emplace_back(next, end);
    next = end;
  }
  return of_ranks;
}

/// What came of one trial, the same on all its ranks.
struct Verdict {
  std::string fault;  ///< a sentence; nothing when all is as it should be
  bool preempted = false;
};

/// Runs a trial on the ranks of `team`, which are as many as its layout has.
Verdict run(const Trial& trial, const Prepared& model, Group& team) {
  const Layout& layout = trial.layout;
  const int number = coordinates_of(layout, team.rank()).dp;
  const std::unique_ptr<Group> part = layout.dp == 1 ? nullptr : team.split(number);
  Group& group = part ? *part : team;
  const bool shares_reading = layout.dp > 1 && trial.shares % 2 == 1;
  const std::unique_ptr<Group> peers = shares_reading ? team.split(group.rank()) : nullptr;
  ReplicaOptions options = trial.schedule.options;
  options.layout = layout;
  options.peers = peers.get();
  Replica replica(model.path, options, group);
  EngineStats stats;
  const auto completions =
      replica.complete(trial.schedule.share(requests_in_order(model.requests, trial.schedule.order),
                                            number, layout.dp, trial.shares),
                       &stats);
  const Merged merged = merge(gather(team, outcomes_of(completions)), group.size());
  Verdict verdict;
  verdict.preempted = sum_over(team, stats.preemptions) > 0;
  verdict.fault = merged.fault.empty() ? fault_of(merged.outcomes, model.expected) : merged.fault;
  // A share of the requests may find room.
  const bool must_preempt = trial.schedule.preempts && layout.dp == 1;
  if (verdict.fault.empty() && must_preempt && !verdict.preempted) {
    verdict.fault = "no sequence was thrown out of the cache, so preemption was not tried";
  }
  return verdict;
}

/// The lines of all ranks' texts.
std::vector<std::string> lines_of_all(Group& world, const std::string& mine) {
  std::vector<std::string> lines;
  for (const std::string& text : gather_strings(world, mine)) {
    for (std::size_t at = 0; at < text.size();) {
      const std::size_t end = text.find('\n', at);
      lines.push_back(text.substr(at, end - at));
      at = end + 1;
    }
  }
  return lines;
}

}  // namespace

ProofResult prove(const std::vector<ProofModel>& models, const std::vector<Trial>& trials,
                  Group& world, const ProofWatch& watch) {
  const Scratch scratch;
  ProofResult result;
  std::vector<Prepared> prepared;
  for (std::size_t i = 0; i < models.size(); ++i) {
    prepared.push_back(prepare(models[i], scratch.path() / std::to_string(i), world));
    result.digests.push_back(digests_of(prepared.back().expected));
  }
  std::string failures;
  std::int64_t done = 0;
  std::int64_t preempting = 0;
  auto next = trials.begin();
  while (next != trials.end()) {
    const auto size = static_cast<int>(next->layout.world_size());
    const auto end = std::find_if(
        next, trials.end(), [&](const Trial& trial) { return trial.layout.world_size() != size; });
    // Teams side by side take turns; ranks beyond the last whole team have nothing to do.
    const int teams = world.size() / size;
    require(teams > 0, "a trial of {} ranks on {}", size, world.size());
    const int mine = world.rank() / size;
    const std::unique_ptr<Group> team = world.split(mine);
    for (auto trial = next + mine; mine < teams && trial < end; trial += teams) {
      if (sum_over(*team, watch.stop() ? 1 : 0) > 0) break;
      const Verdict verdict = run(*trial, prepared[trial->model], *team);
      if (team->rank() == 0) {
        ++done;
        preempting += verdict.preempted ? 1 : 0;
        if (!verdict.fault.empty()) {
          failures += fmt::format("{}; {}; {}: {}\n", models[trial->model].name,
                                  to_string(trial->layout), trial->schedule.name, verdict.fault);
        }
      }
      watch.progress(std::min(trial - trials.begin() + teams, end - trials.begin()));
    }
    next = end;
  }
  result.trials = sum_over(world, done);
  result.preempting = sum_over(world, preempting);
  result.failures = lines_of_all(world, failures);
  return result;
}

}  // namespace weft
