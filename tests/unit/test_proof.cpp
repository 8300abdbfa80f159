// What the proof tries; tests/mpi/test_prove.cpp has what comes of it.
#include <algorithm>
#include <deque>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "base/error.h"
#include "catch.h"
#include "engine/prefix_hashes.h"
#include "layout/legality.h"
#include "model/config/config.h"
#include "plan/sizing.h"
#include "proof/outcome.h"
#include "proof/trial.h"

namespace weft {
namespace {

constexpr int kRanks = 8;

ProofScope scope(std::int64_t random = 0, bool full = false) {
  ProofScope scope;
  scope.ranks = kRanks;
  scope.random = random;
  scope.full = full;
  return scope;
}

std::string key(const Trial& trial) {
  return std::to_string(trial.model) + " " + to_string(trial.layout) + " " + trial.schedule.name;
}

std::vector<std::string> keys(const std::vector<Trial>& trials) {
  std::vector<std::string> names;
  for (const Trial& trial : trials) names.push_back(key(trial));
  return names;
}

/// By model, layout: every layout of 1 to 8 ranks that breaks no rule.
std::set<std::string> legal_layouts(const std::vector<ProofModel>& models) {
  std::set<std::string> legal;
  for (std::size_t model = 0; model < models.size(); ++model) {
    const ModelFacts facts{parse_config(models[model].config), {}, models[model].dtype};
    const LayoutLimits limits = layout_limits(facts);
    for (Layout at; at.tp <= kRanks; ++at.tp) {
      for (at.pp = 1; at.tp * at.pp <= kRanks; ++at.pp) {
        for (at.sp = 1; at.replica_size() <= kRanks; ++at.sp) {
          for (at.ep = 1; at.ep <= kRanks; ++at.ep) {
            for (at.dp = 1; at.world_size() <= kRanks; ++at.dp) {
              const auto ranks = static_cast<int>(at.world_size());
              if (violations(at, limits, ranks).empty()) {
                legal.insert(std::to_string(model) + " " + to_string(at));
              }
            }
            at.dp = 1;
          }
        }
      }
    }
  }
  return legal;
}

/// How often a schedule throws a replica's sequences out when none of them ends early.
std::int64_t preemptions(const Schedule& schedule, const Layout& layout,
                         const std::vector<Request>& requests) {
  const SchedulerLimits limits = limits_of(schedule.options, layout);
  Scheduler scheduler(limits);
  std::map<std::int64_t, std::int64_t> left;  // tokens to come of each sequence
  for (const Request& request : requests) {
    const auto length = static_cast<std::int64_t>(request.prompt.size());
    left[request.index] = request.sampling.max_tokens;
    scheduler.add(request.index, length, length + request.sampling.max_tokens,
                  prefix_hashes(request.prompt, limits.block_tokens));
  }
  std::deque<std::vector<Slice>> in_flight;
  while (!scheduler.idle() || !in_flight.empty()) {
    while (in_flight.size() < static_cast<std::size_t>(layout.pp)) {
      std::vector<Slice> step = scheduler.next();
      if (step.empty()) break;
      in_flight.push_back(std::move(step));
    }
    REQUIRE_FALSE(in_flight.empty());
    for (const Slice& slice : in_flight.front()) {
      scheduler.complete(slice, slice.samples && --left[slice.sequence] == 0);
    }
    in_flight.pop_front();
  }
  return scheduler.preemptions();
}

}  // namespace

TEST_CASE("the proof's models have what the contract could break on", "[proof]") {
  std::set<std::string_view> found;
  std::set<std::int64_t> experts_per_token;
  std::set<bool> tied;
  bool few_kv_heads = false;
  bool odd_vocabulary = false;
  bool shared_and_dense = false;
  for (const ProofModel& model : proof_models()) {
    const ModelConfig config = parse_config(model.config);
    found.insert(config.family->name);
    if (config.has_experts()) experts_per_token.insert(config.moe.per_token);
    tied.insert(config.tied_embeddings);
    few_kv_heads = few_kv_heads || config.kv_heads < kRanks;
    odd_vocabulary = odd_vocabulary || config.vocab % 2 == 1;
    shared_and_dense = shared_and_dense || (config.moe.shared_ffn > 0 && config.has_experts() &&
                                            config.has_dense_layers());
  }
  CHECK(found.size() == families().size());
  CHECK(experts_per_token == std::set<std::int64_t>{2, 3, 8});
  CHECK(tied.size() == 2);
  CHECK(few_kv_heads);
  CHECK(odd_vocabulary);
  CHECK(shared_and_dense);
}

TEST_CASE("the proof's schedules cover batches, chunks, orders and a cache too small", "[proof]") {
  const std::vector<Schedule> crossed = crossed_schedules();
  std::set<std::string> names;
  std::map<std::string, std::set<std::int64_t>> values;
  for (const Schedule& schedule : crossed) {
    names.insert(schedule.name);
    values["batch"].insert(schedule.options.max_sequences);
    values["chunk"].insert(schedule.options.prefill_chunk);
    values["order"].insert(static_cast<std::int64_t>(schedule.order));
    values["pages"].insert(schedule.options.kv_blocks);
  }
  CHECK(values["batch"] == std::set<std::int64_t>{1, 2, 17, 65});
  CHECK(values["chunk"] == std::set<std::int64_t>{0, 1, 7, 127, 128, 129});
  CHECK(values["order"].size() == 2);
  CHECK(values["pages"].size() == 2);
  CHECK(crossed.size() == 4U * 6U * 2U * 2U);
  for (const Schedule& schedule : proof_schedules()) names.insert(schedule.name);
  CHECK(names.size() == crossed.size() + proof_schedules().size());
  CHECK(std::any_of(crossed.begin(), crossed.end(), [](const Schedule& s) { return s.preempts; }));
}

TEST_CASE("the proof tries each legal layout once and each schedule three times", "[proof]") {
  const std::vector<ProofModel> models = proof_models();
  const std::vector<Trial> trials = trials_of(models, scope());
  const std::vector<Schedule> schedules = proof_schedules();
  std::multiset<std::string> plain;
  std::map<std::string, std::set<std::string>> layouts_of_schedule;
  for (const Trial& trial : trials) {
    const std::string model = std::to_string(trial.model) + " ";
    if (trial.schedule.name == schedules.front().name) {
      plain.insert(model + to_string(trial.layout));
    } else {
      CHECK(trial.layout.world_size() == kRanks);
      const auto& [place, is_new] =
          layouts_of_schedule[model + trial.schedule.name].insert(to_string(trial.layout));
      CHECK(is_new);
    }
  }
  const std::set<std::string> legal = legal_layouts(models);
  CHECK(std::set<std::string>(plain.begin(), plain.end()) == legal);
  CHECK(plain.size() == legal.size());
  CHECK(layouts_of_schedule.size() == models.size() * (schedules.size() - 1));
  for (const auto& [schedule, layouts] : layouts_of_schedule) {
    INFO(schedule);
    CHECK(layouts.size() == 3);
  }
  CHECK(std::is_sorted(trials.begin(), trials.end(), [](const Trial& a, const Trial& b) {
    return a.layout.world_size() < b.layout.world_size();
  }));
}

TEST_CASE("the proof adds random combinations, the same for the same seed", "[proof]") {
  const std::vector<ProofModel> models = proof_models();
  const auto base = trials_of(models, scope());
  const auto once = keys(trials_of(models, scope(200)));
  CHECK(once.size() == base.size() + 200);
  CHECK(keys(trials_of(models, scope(200))) == once);
  std::vector<std::string> without = keys(base);
  std::vector<std::string> with = once;
  std::sort(without.begin(), without.end());
  std::sort(with.begin(), with.end());
  CHECK(std::includes(with.begin(), with.end(), without.begin(), without.end()));
  ProofScope other = scope(200);
  other.seed = 2;
  CHECK(keys(trials_of(models, other)) != once);
}

TEST_CASE("the full proof is the product of layouts and schedules", "[proof]") {
  const std::vector<ProofModel> models = {proof_models().front()};
  const auto names = keys(trials_of(models, scope(0, true)));
  const std::set<std::string> different(names.begin(), names.end());
  CHECK(different.size() == names.size());
  CHECK(names.size() ==
        legal_layouts(models).size() * (proof_schedules().size() + crossed_schedules().size()));
}

TEST_CASE("the proof can be cut to some trials, spread over all", "[proof]") {
  const std::vector<ProofModel> models = proof_models();
  ProofScope few = scope();
  const auto all = keys(trials_of(models, few));
  few.most = 10;
  const auto some = trials_of(models, few);
  CHECK(some.size() == 10);
  CHECK(some.front().layout.world_size() == 1);
  CHECK(some.back().layout.world_size() == kRanks);
  few.most = static_cast<std::int64_t>(all.size()) + 1;
  CHECK(keys(trials_of(models, few)) == all);
}

TEST_CASE("the parts of the proof are all of it", "[proof]") {
  const std::vector<ProofModel> models = proof_models();
  ProofScope scope_of_part = scope(20);
  std::vector<std::string> all = keys(trials_of(models, scope_of_part));
  std::vector<std::string> together;
  scope_of_part.parts = 3;
  for (scope_of_part.part = 1; scope_of_part.part <= 3; ++scope_of_part.part) {
    const std::vector<std::string> part = keys(trials_of(models, scope_of_part));
    CHECK(part.size() >= all.size() / 3);
    together.insert(together.end(), part.begin(), part.end());
  }
  std::sort(all.begin(), all.end());
  std::sort(together.begin(), together.end());
  CHECK(together == all);
}

TEST_CASE("replicas share the requests, unevenly and in many ways", "[proof]") {
  const std::vector<Request> requests = requests_in_order(proof_requests(515), 4);
  CHECK(share_of(requests, 0, 1, 9).size() == requests.size());
  for (const int replicas : {2, 3, 8}) {
    std::set<std::size_t> sizes;
    std::set<std::vector<std::int64_t>> different;
    for (std::uint64_t seed = 0; seed < 20; ++seed) {
      std::multiset<std::int64_t> together;
      for (int replica = 0; replica < replicas; ++replica) {
        std::vector<std::int64_t> indices;
        for (const Request& request : share_of(requests, replica, replicas, seed)) {
          indices.push_back(request.index);
        }
        together.insert(indices.begin(), indices.end());
        sizes.insert(indices.size());
        if (replica == 0) different.insert(indices);
      }
      CHECK(together.size() == requests.size());
      CHECK(std::set<std::int64_t>(together.begin(), together.end()).size() == requests.size());
    }
    CHECK(*sizes.rbegin() > requests.size() / 2);
    CHECK(*sizes.begin() < requests.size() / 2);
    CHECK(different.size() > 10);
  }
}

TEST_CASE("merged outcomes tell what is missing, doubled or other", "[proof]") {
  const Digest same{1, 2};
  const Digest other{3, 4};
  const std::vector<Outcome> expected = {
      {0, 9, same, same}, {1, 7, same, same}, {2, 5, same, same}, {3, 4, same, same}};
  const Outcome& one = expected[1];
  const std::vector<Outcome> evens = {expected[2], expected[0]};
  const std::vector<Outcome> odds = {expected[3], one};
  const auto fault = [&](const std::vector<std::vector<Outcome>>& of_ranks, int replica_size) {
    const Merged merged = merge(of_ranks, replica_size);
    return merged.fault.empty() ? fault_of(merged.outcomes, expected) : merged.fault;
  };
  CHECK(fault({evens, odds}, 1).empty());
  CHECK(fault({evens, evens, odds, odds}, 2).empty());
  CHECK(fault({expected, {}}, 1).empty());
  CHECK(fault({evens, evens, odds, evens}, 2) == "ranks 2 and 3 of one replica have other results");
  CHECK(fault({evens, {}}, 1) == "request 1 (7 prompt tokens) is missing, and 1 more");
  CHECK(fault({evens, expected}, 1) ==
        "request 0 (9 prompt tokens) came more than once, and 1 more");
  CHECK(fault({evens, {expected[3], {1, 7, other, same}}}, 1) ==
        "request 1 (7 prompt tokens) differs, and 0 more (tokens of 1, logits of 0)");
  CHECK(fault({evens, {one, {1, 7, same, other}}}, 1) ==
        "request 3 (4 prompt tokens) is missing, and 0 more; request 1 (7 prompt tokens) came more "
        "than once, and 0 more; request 1 (7 prompt tokens) differs, and 0 more (tokens of 0, "
        "logits of 1)");
  CHECK_THROWS_AS(fault({{{4, 1, same, same}}}, 1), Error);
}

TEST_CASE("one rank alone is tried with every schedule once", "[proof]") {
  ProofScope one = scope();
  one.ranks = 1;
  const auto names = keys(trials_of(proof_models(), one));
  CHECK(names.size() == proof_models().size() * proof_schedules().size());
  CHECK(std::set<std::string>(names.begin(), names.end()).size() == names.size());
}

TEST_CASE(
    "the tight schedules throw sequences out on every layout of a replica, and nearly all "
    "others",
    "[proof]") {
  std::map<std::int64_t, std::vector<Request>> requests_of;  // by vocabulary
  for (const ProofModel& model : proof_models()) {
    const std::int64_t vocab = parse_config(model.config).vocab;
    requests_of[vocab] = proof_requests(vocab);
  }
  std::uint64_t seed = 0;
  std::int64_t shared = 0;
  std::int64_t roomy = 0;  // of these, without preemption
  std::vector<Schedule> schedules = crossed_schedules();
  for (Schedule& schedule : proof_schedules()) schedules.push_back(std::move(schedule));
  for (const Schedule& schedule : schedules) {
    if (!schedule.preempts) continue;
    for (int sp = 1; sp <= kRanks; ++sp) {
      for (int pp = 1; sp * pp <= kRanks; ++pp) {
        INFO(schedule.name << " sp=" << sp << " pp=" << pp);
        Layout layout;
        layout.sp = sp;
        layout.pp = pp;
        for (; layout.world_size() <= kRanks; ++layout.dp) {
          for (const auto& [vocab, requests] : requests_of) {
            const auto ordered = requests_in_order(requests, schedule.order);
            std::int64_t preempted = 0;
            for (int replica = 0; replica < layout.dp; ++replica) {
              const auto share = share_of(ordered, replica, layout.dp, seed);
              preempted += preemptions(schedule, layout, share);
            }
            ++seed;
            if (layout.dp == 1) CHECK(preempted > 0);
            if (layout.dp > 1) ++shared;
            if (layout.dp > 1 && preempted == 0) ++roomy;
          }
        }
      }
    }
  }
  INFO(roomy << " of " << shared);
  CHECK(shared > 500);
  CHECK(roomy * 20 < shared);
}

}  // namespace weft
