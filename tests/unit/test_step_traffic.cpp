// What travels: the definitions, and the traffic of planned steps.
#include "plan/step_traffic.h"

#include <algorithm>
#include <vector>

#include "base/error.h"
#include "catch.h"
#include "model/forward/batch.h"
#include "plan/planned_step.h"
#include "plan/route_counts.h"
#include "planned_models.h"

namespace weft {
namespace {

TEST_CASE("a byte counts once for each rank that it goes to", "[traffic]") {
  Traffic traffic;
  traffic.all_gather(Primitive::tp, 1, std::vector<Bytes>{10, 20, 30});
  CHECK(traffic.of(Primitive::tp, Operation::all_gather) == Transfer{1, 40, 40});
  traffic.all_to_all(Primitive::ep, 0, std::vector<Bytes>{1, 2, 4}, std::vector<Bytes>{8, 16, 32});
  CHECK(traffic.of(Primitive::ep, Operation::all_to_all) == Transfer{1, 6, 48});
  traffic.broadcast(Primitive::sp, 0, 4, 5, 0);
  CHECK(traffic.of(Primitive::sp, Operation::broadcast) == Transfer{1, 15, 0});
  traffic.broadcast(Primitive::sp, 0, 4, 5, 2);
  CHECK(traffic.of(Primitive::sp, Operation::broadcast) == Transfer{2, 15, 5});
  traffic.send(Primitive::pp, 7);
  traffic.receive(Primitive::pp, 9);
  CHECK(traffic.total(Primitive::pp) == Transfer{2, 7, 9});
  const Traffic before = traffic;
  traffic.all_gather(Primitive::tp, 0, std::vector<Bytes>{10});
  traffic.all_to_all(Primitive::tp, 0, std::vector<Bytes>{10}, std::vector<Bytes>{10});
  traffic.broadcast(Primitive::tp, 0, 1, 5, 0);
  CHECK(traffic == before);
  CHECK_THROWS_AS(traffic.of(Primitive::dp, Operation::send), Error);
}

TEST_CASE("traffic adds up and is taken away", "[traffic]") {
  Traffic traffic;
  traffic.all_gather(Primitive::tp, 0, std::vector<Bytes>{1, 2, 4});
  traffic.send(Primitive::pp, 7);
  const Traffic before = traffic;
  traffic += before;
  CHECK(traffic.of(Primitive::tp, Operation::all_gather) == Transfer{2, 4, 12});
  CHECK(traffic.of(Primitive::pp, Operation::send) == Transfer{2, 14, 0});
  traffic -= before;
  CHECK(traffic == before);
}

TEST_CASE("routes are counted by slice and part", "[traffic]") {
  MoePartition part;
  part.config.experts = 4;
  part.config.per_token = 2;
  part.coordinates = {0, 4, 4, 2};  // two domains of two ranks, an expert on each rank
  const std::vector<std::int64_t> rows{3, 1};
  const RouteCounts counts =
      count_routes(part, rows, std::vector<std::int32_t>{0, 1, 0, 2, 3, 2, 1, 0});
  using Table = std::vector<std::vector<std::int64_t>>;
  const Table expected{{1, 1, 0, 0}, {1, 0, 2, 1}, {0, 0, 0, 0}, {1, 1, 0, 0}};
  CHECK(counts.pairs == expected);
  CHECK(counts.rows == expected);  // no row has two experts in one part
  CHECK(counts.pairs_of(0) == 3);
  CHECK(balanced_experts(part.config, 3) == std::vector<std::int32_t>{0, 2, 1, 3, 2, 0});
}

TEST_CASE("a planned step's traffic is that of its rows", "[traffic]") {
  EngineShape shape;
  shape.sp = 2;
  shape.step.logit_rows = 64;
  for (const Layout& layout : {Layout{2, 2, 2, 1, 1}, Layout{2, 2, 2, 4, 1}}) {
    const auto parts = partitions_of({model_with_experts(), {}, DType::bf16}, layout, 0);
    const auto group = static_cast<std::size_t>(std::max(layout.tp, layout.ep));
    REQUIRE(parts.size() == 2 * group);
    for (const bool shared : {false, true}) {
      for (const bool digest : {false, true}) {
        INFO(to_string(layout) << (shared ? ", shared" : "") << (digest ? ", digest" : ""));
        StepRows rows;
        rows.rows = 12;
        rows.looked_up = {6, 6};
        rows.shared = shared ? std::vector<std::int64_t>{12, 12} : std::vector<std::int64_t>{0, 0};
        rows.samples = shared ? std::vector<std::int64_t>{3, 0} : std::vector<std::int64_t>{3, 3};
        const MoePartition& moe = parts.front().moe;
        rows.domains.assign(group / 2, 12);
        const RouteCounts routes = count_routes(
            moe, rows.domains, balanced_experts(moe.config, 12 * moe.coordinates.domains()));
        const auto traffic = traffic_of({{3, 4, 0}, shared}, layout, parts, shape, digest);
        REQUIRE(traffic.size() == parts.size());
        for (std::size_t i = 0; i < parts.size(); ++i) {
          rows.routes.assign(static_cast<std::size_t>(sparse_layers(parts[i])), routes);
          const int sp_rank = static_cast<int>(i % group / 2);
          CHECK(traffic[i] == step_traffic(parts[i], shape, sp_rank, rows, digest));
        }
      }
    }
  }
}

TEST_CASE("tokens that no host knows are looked up by all", "[traffic]") {
  ModelFacts facts{small_model(), {}, DType::bf16};
  facts.config.vocab = 3 * 256;
  Layout layout;
  layout.tp = 2;  // one block of the vocabulary, and two
  const auto parts = partitions_of(facts, layout, 0);
  const std::vector<TokenId> tokens = {3, device_token(7), 300, 767, device_token(0)};
  CHECK(lookups_of(parts[0], tokens) == std::vector<std::int64_t>{3, 4});
  CHECK(lookups_of(partitions_of(facts, Layout{}, 0)[0], tokens) == std::vector<std::int64_t>{5});
  PlannedStep step{{4, 1, 9}, false};
  EngineShape shape;
  shape.step.logit_rows = 4;
  const auto sent = [&](bool digest) {
    const auto traffic = traffic_of(step, layout, parts, shape, digest);
    return traffic[0].of(Primitive::tp, Operation::all_gather).sent;
  };
  const Bytes known = sent(false);
  const Bytes with_digests = sent(true);
  step.kept = true;
  // All four rows of 32 f32 in place of the two of its own tokens. Steps with digests do not run
  // ahead.
  CHECK(sent(false) == known + 2 * 32 * 4);
  CHECK(sent(true) == with_digests);
  EngineSizes sizes;
  sizes.max_sequence_length = 101;
  sizes.limits = {200, 8, 0, 16, 1000};
  CHECK_FALSE(decode_step(sizes, layout).kept);
  sizes.async_scheduling = true;
  CHECK(decode_step(sizes, layout).kept);
}

}  // namespace
}  // namespace weft
