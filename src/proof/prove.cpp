#include "proof/prove.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <numeric>

#include "base/error.h"

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
  std::vector<Digest> expected;  ///< by request
};

std::vector<Digest> digests_of(const std::vector<Completion>& completions) {
  std::vector<Digest> digests;
  for (const Completion& completion : completions) {
    digests.push_back(digest_of_completion(completion));
  }
  return digests;
}

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
    prepared.expected =
        digests_of(Replica(prepared.path, options, *alone).complete(prepared.requests));
  }
  world.broadcast(std::as_writable_bytes(std::span(prepared.expected)), 0);
  return prepared;
}

/// What is wrong, in a sentence; nothing when all is as it should be.
std::string fault(const std::vector<Completion>& completions, const Prepared& prepared,
                  const Schedule& schedule, const EngineStats& stats) {
  const std::vector<Digest> found = digests_of(completions);
  if (found.size() != prepared.expected.size()) {
    return fmt::format("{} of {} requests came back", found.size(), prepared.expected.size());
  }
  std::int64_t others = -1;
  std::size_t first = 0;
  for (std::size_t i = found.size(); i-- > 0;) {
    if (found[i] == prepared.expected[i]) continue;
    first = i;
    ++others;
  }
  if (others < 0) {
    if (!schedule.preempts || stats.preemptions > 0) return {};
    return "no sequence was thrown out of the cache, so preemption was not tried";
  }
  return fmt::format("request {} ({} prompt tokens) differs, and {} more", first,
                     prepared.requests[first].prompt.size(), others);
}

/// The sum of every rank's value.
std::int64_t sum_over(Group& world, std::int64_t value) {
  std::vector<std::int64_t> values(static_cast<std::size_t>(world.size()));
  world.all_gather(std::as_bytes(std::span(&value, 1)), std::as_writable_bytes(std::span(values)),
                   equal_counts(world, sizeof value));
  return std::accumulate(values.begin(), values.end(), std::int64_t{0});
}

}  // namespace

ProofResult prove(const std::vector<ProofModel>& models, const std::vector<Trial>& trials,
                  Group& world, const std::function<void(std::int64_t done)>& progress) {
  const Scratch scratch;
  ProofResult result;
  std::vector<Prepared> prepared;
  for (std::size_t i = 0; i < models.size(); ++i) {
    prepared.push_back(prepare(models[i], scratch.path() / std::to_string(i), world));
    Digester digester;
    for (const Digest& digest : prepared.back().expected) digester.add(digest.hex());
    result.digests.push_back(digester.result());
  }
  std::string failures;
  std::int64_t preempting = 0;
  auto next = trials.begin();
  while (next != trials.end()) {
    const auto size = static_cast<int>(next->layout.replica_size());
    const auto end = std::find_if(next, trials.end(), [&](const Trial& trial) {
      return trial.layout.replica_size() != size;
    });
    // Replicas side by side take turns; ranks beyond the last whole replica have nothing to do.
    const int replicas = world.size() / size;
    require(replicas > 0, "a trial of {} ranks on {}", size, world.size());
    const int mine = world.rank() / size;
    const std::unique_ptr<Group> group = world.split(mine);
    for (auto trial = next + mine; mine < replicas && trial < end; trial += replicas) {
      const Prepared& model = prepared[trial->model];
      ReplicaOptions options = trial->schedule.options;
      options.layout = trial->layout;
      Replica replica(model.path, options, *group);
      EngineStats stats;
      const auto completions =
          replica.complete(requests_in_order(model.requests, trial->schedule.order), &stats);
      const std::string text = fault(completions, model, trial->schedule, stats);
      if (group->rank() == 0 && stats.preemptions > 0) ++preempting;
      if (!text.empty() && group->rank() == 0) {
        failures += fmt::format("{}; {}; {}: {}\n", models[trial->model].name,
                                to_string(trial->layout), trial->schedule.name, text);
      }
      if (progress) progress(trial - trials.begin());
    }
    next = end;
  }
  result.trials = static_cast<std::int64_t>(trials.size());
  result.preempting = sum_over(world, preempting);
  for (const std::string& text : gather_strings(world, failures)) {
    for (std::size_t at = 0; at < text.size();) {
      const std::size_t line = text.find('\n', at);
      result.failures.push_back(text.substr(at, line - at));
      at = line + 1;
    }
  }
  return result;
}

}  // namespace weft
