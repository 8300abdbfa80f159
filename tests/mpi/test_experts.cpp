// Experts spread over ranks: the layout never shows, whichever way rows travel.
#include <cstring>
#include <numeric>
#include <random>

#include "comm/mpi_group.h"
#include "layout/legality.h"
#include "model/footprint.h"
#include "plan/sizing.h"
#include "reference_ops/make_reference_ops.h"
#include "support/moe_configs.h"
#include "unit/catch.h"

namespace weft::test {
namespace {

std::vector<Request> requests_of(const MoeCase& test) {
  return varied_requests(5, test.config["vocab_size"], 17, 60, 5);
}

Digest run(const SyntheticModel& model, const MoeCase& test, const ReplicaOptions& options,
           Group& group) {
  Replica replica(model.path(), options, group);
  return digest_of_completions(replica.complete(requests_of(test)));
}

bool legal(const SyntheticModel& model, const Layout& layout) {
  const ModelReader reader(model.path());
  const ModelFacts facts{reader.config(), reader.caps(), reader.dtype()};
  return violations(layout, layout_limits(facts), static_cast<int>(layout.world_size())).empty();
}

Layout layout_of(int tp, int ep, int sp = 1) {
  Layout layout;
  layout.tp = tp;
  layout.ep = ep;
  layout.sp = sp;
  return layout;
}

}  // namespace

TEST_CASE("one digest for every layout of experts in a tensor-parallel group", "[experts]") {
  const auto world = make_world_group();
  const auto alone = make_self_group();
  for (const MoeCase& test : moe_cases()) {
    INFO(test.name);
    const SyntheticModel model(test.config, test.dtype, 3, world->rank() % 3 + 1,
                               world->rank() % 2 + 1);
    const Digest expected = run(model, test, {}, *alone);
    for (int tp = 1; tp <= world->size(); ++tp) {
      for (int ep = 1; ep <= tp; ++ep) {
        if (tp % ep != 0 || !legal(model, layout_of(tp, ep))) continue;
        // Ranks beyond the last whole group are a group of their own, where ep is 1.
        const bool whole = world->rank() / tp < world->size() / tp;
        const auto group = world->split(world->rank() / tp);
        ReplicaOptions options;
        options.layout = layout_of(group->size(), whole ? ep : 1);
        INFO("tp=" << tp << " ep=" << ep);
        if (whole || legal(model, layout_of(group->size(), 1))) {
          CHECK(run(model, test, options, *group) == expected);
        }
      }
    }
  }
}

TEST_CASE("threads, transports and schedules do not show in experts", "[experts]") {
  const auto world = make_world_group();
  const auto alone = make_self_group();
  for (const MoeCase& test : moe_cases()) {
    INFO(test.name);
    const SyntheticModel model(test.config, test.dtype, 4);
    int ep = world->size();
    while (ep > 1 && !legal(model, layout_of(world->size(), ep))) --ep;
    if (!legal(model, layout_of(world->size(), ep))) continue;
    const Digest expected = run(model, test, {}, *alone);
    const auto check = [&](const std::string& what, ReplicaOptions options) {
      INFO(what);
      options.layout = layout_of(world->size(), ep);
      CHECK(run(model, test, options, *world) == expected);
    };
    for (const Transport transport : {Transport::all_gather, Transport::all_to_all}) {
      ReplicaOptions options;
      options.transport = transport;
      options.threads = 3;
      check("transport", options);
    }
    for (const std::int64_t chunk : {1, 7}) {
      ReplicaOptions options;
      options.prefill_chunk = chunk;
      check("chunks of " + std::to_string(chunk), options);
    }
    for (const std::int64_t sequences : {1, 2}) {
      ReplicaOptions options;
      options.max_sequences = sequences;
      options.max_batch_tokens = 50 * sequences;
      check(std::to_string(sequences) + " sequences at a time", options);
    }
    if (world->size() == 1) {
      ReplicaOptions options;
      options.ops = [] { return make_reference_ops(); };
      check("the plain twins", options);
    }
  }
}

TEST_CASE("experts over several tensor-parallel groups", "[experts]") {
  // The groups have sequences of their own, of other lengths or none; they step together.
  const auto world = make_world_group();
  const auto alone = make_self_group();
  const int ranks = world->size();
  for (const MoeCase& test : moe_cases()) {
    INFO(test.name);
    const SyntheticModel model(test.config, test.dtype, 5);
    Replica single(model.path(), {}, *alone);
    for (int tp = 1; tp < ranks; ++tp) {
      for (int ep = 2 * tp; ep <= ranks; ep += tp) {
        if (ranks % ep != 0 || !legal(model, layout_of(tp, ep, ranks / tp))) continue;
        for (const Transport transport :
             {Transport::automatic, Transport::all_gather, Transport::all_to_all}) {
          INFO("tp=" << tp << " ep=" << ep << " transport " << static_cast<int>(transport));
          ReplicaOptions options;
          options.layout = layout_of(tp, ep, ranks / tp);
          options.transport = transport;
          Replica replica(model.path(), options, *world);
          const Partition& part = replica.model().partition();
          CHECK(replica.ops().memory().in_use() ==
                footprint_of(part, replica.model().shape(), replica.ops()).total());
          const int domain = world->rank() / tp;
          for (int step = 0; step < 3; ++step) {
            std::mt19937 random(static_cast<unsigned>(100 * step + domain));
            const int length = (domain + step) % 3 == 0 ? 0 : static_cast<int>(random() % 50) + 1;
            std::vector<TokenId> tokens;
            for (int i = 0; i < length; ++i) {
              tokens.push_back(static_cast<TokenId>(random() % 515));
            }
            std::vector<std::int32_t> rows;
            if (length > 0) rows = {0, length - 1};
            const std::vector<float> found = logits_of(replica, tokens, rows);
            const std::vector<float> whole = logits_of(single, tokens, rows);
            const Range vocab = part.shard.vocab;
            for (std::size_t row = 0; row < rows.size(); ++row) {
              const auto width = static_cast<std::size_t>(vocab.size());
              if (width == 0) continue;
              const float* const expected = whole.data() + row * 515 + vocab.begin;
              REQUIRE(std::memcmp(found.data() + row * width, expected, width * 4) == 0);
            }
          }
          CHECK(replica.ops().memory().peak() ==
                footprint_of(part, replica.model().shape(), replica.ops()).total());
        }
      }
    }
  }
}

TEST_CASE("every rank holds what the plan says of experts", "[experts][footprint]") {
  const auto world = make_world_group();
  for (const MoeCase& test : moe_cases()) {
    const SyntheticModel model(test.config, test.dtype, 6);
    for (int ep = 1; ep <= world->size(); ++ep) {
      if (world->size() % ep != 0 || !legal(model, layout_of(world->size(), ep))) continue;
      for (const Transport transport :
           {Transport::automatic, Transport::all_gather, Transport::all_to_all}) {
        INFO(test.name << " ep=" << ep);
        ReplicaOptions options;
        options.layout = layout_of(world->size(), ep);
        options.transport = transport;
        options.threads = 2;
        Replica replica(model.path(), options, *world);
        const Footprint planned =
            footprint_of(replica.model().partition(), replica.model().shape(), replica.ops());
        CHECK(replica.ops().memory().in_use() == planned.total());
        std::vector<TokenId> tokens(40);
        std::iota(tokens.begin(), tokens.end(), 0);
        logits_of(replica, tokens, {39});
        logits_of(replica, {5}, {0});
        CHECK(replica.ops().memory().peak() == planned.total());
        // Every token of every step went to k experts of each sparse layer.
        for (const ExpertLoad& load : replica.model().expert_loads()) {
          const std::int64_t pairs =
              std::accumulate(load.tokens.begin(), load.tokens.end(), std::int64_t{0});
          CHECK(pairs == 41 * replica.model().partition().moe.config.per_token);
          CHECK(load.imbalance() >= 1.0);
        }
      }
    }
  }
}

}  // namespace weft::test
