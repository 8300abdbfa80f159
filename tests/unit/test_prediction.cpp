// The steps that are planned, and their roofline: numbers worked out by hand.
#include "plan/prediction.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <vector>

#include "base/error.h"
#include "catch.h"
#include "ops/make_cpu_ops.h"
#include "planned_models.h"

namespace weft {
namespace {

TEST_CASE("limits are four numbers, or a kind of GPU", "[prediction]") {
  const MachineLimits limits = parse_limits("45,540.5,10,2");
  CHECK(limits.read_bytes_per_second == Approx(45e9));
  CHECK(limits.flops_per_second == Approx(540.5e9));
  CHECK(limits.link_bytes_per_second == Approx(10e9));
  CHECK(limits.call_seconds == Approx(2e-6));
  CHECK(parse_limits("1,1,1,0").call_seconds == 0);
  for (const char* text : {"", "1", "1,2,3", "1,2,3,", "1,2,3,4,5", "1,2,3,4 ", "0,2,3,4",
                           "1,-2,3,4", "1,2,nan,4", "1,2,3,inf", "a,2,3,4", "1 ,2,3,4"}) {
    INFO(text);
    CHECK_THROWS_AS(parse_limits(text), UserError);
  }
  CHECK(gpu_limits("a100", DType::bf16).flops_per_second == Approx(312e12));
  CHECK(gpu_limits("a100", DType::f32).flops_per_second == Approx(19.5e12));
  CHECK_THROWS_AS(gpu_limits("H100", DType::bf16), UserError);
  CHECK(gpu_free_gib("h200") == 139);
  CHECK_THROWS_AS(gpu_free_gib("H100"), UserError);
}

TEST_CASE("the slower of reading and computing counts, and what travels behind it",
          "[prediction]") {
  struct Case {
    StepWork work;
    Bytes sent;
    Bytes received;
    double compute;
    double communication;
  };
  const MachineLimits limits{100, 1000, 10, 0.5, ""};
  for (const Case& test : {Case{{200, 1000}, 0, 0, 2, 1}, Case{{200, 3000}, 0, 0, 3, 1},
                           Case{{0, 0}, 30, 20, 0, 4}, Case{{100, 0}, 20, 40, 1, 5}}) {
    Traffic traffic;
    traffic.send(Primitive::pp, test.sent);
    traffic.receive(Primitive::pp, test.received);
    const RankTime time = least_time(test.work, traffic, limits);
    CHECK(time.compute == Approx(test.compute));
    CHECK(time.communication == Approx(test.communication));
  }
}

TEST_CASE("the slowest stage makes the rate, all of them the time", "[prediction]") {
  const ModelFacts facts{small_model(), {}, DType::bf16};
  Layout layout;
  layout.pp = 2;
  layout.dp = 3;
  const auto parts = partitions_of(facts, layout, 0);
  const PlannedStep step{{4, 1, 9}, false};
  const MachineLimits limits{1e6, 1e6, 1, 0, ""};
  const std::vector<Traffic> silent(parts.size());
  const double first = least_time(work_of(step.on_rank, parts[0]), silent[0], limits).total();
  const double second = least_time(work_of(step.on_rank, parts[1]), silent[1], limits).total();
  const StepPrediction found = predict(step, layout, parts, silent, limits);
  CHECK(found.seconds == Approx(first + second));
  CHECK(found.tokens_per_second == Approx(3 * 4 / std::max(first, second)));
  CHECK(found.communication == 0);
}

TEST_CASE("the slowest rank makes a stage's time", "[prediction]") {
  ModelConfig config = small_model();
  config.vocab = 512;  // so that the ranks compute equally much
  const ModelFacts facts{config, {}, DType::bf16};
  const Layout layout{2, 2, 2, 1, 1};
  const auto parts = partitions_of(facts, layout, 0);
  const PlannedStep step{{4, 1, 9}, false};
  const MachineLimits limits{1e6, 1e6, 1e3, 0.25, ""};
  std::vector<Traffic> traffic(parts.size());
  const std::vector<Bytes> sent{1000, 4000, 3000, 2000};
  REQUIRE(parts.size() == sent.size());
  for (std::size_t i = 0; i < sent.size(); ++i) {
    traffic[i].all_gather(Primitive::ep, 0, std::vector<Bytes>{sent[i], 0});
    traffic[i].send(Primitive::tp, 100);
  }
  const RankTime first = least_time(work_of(step.on_rank, parts[1]), traffic[1], limits);
  const RankTime second = least_time(work_of(step.on_rank, parts[2]), traffic[2], limits);
  CHECK(first.communication == Approx(0.5 + 4.1));
  CHECK(second.communication == Approx(0.5 + 3.1));
  const StepPrediction found = predict(step, layout, parts, traffic, limits);
  CHECK(found.seconds == Approx(first.total() + second.total()));
  CHECK(found.communication == Approx((4.6 + 3.6) / found.seconds));
  CHECK(found.tokens_per_second == Approx(2 * 4 / first.total()));
}

TEST_CASE("axes that span nodes send at the rate between nodes", "[prediction]") {
  const Layout layout{4, 2, 2, 8, 2};  // replicas of 16 ranks
  for (const auto& [ranks, tp, sp, ep, pp] :
       {std::array{2, 0, 0, 0, 0}, std::array{4, 1, 0, 0, 0}, std::array{6, 0, 0, 0, 0},
        std::array{8, 1, 1, 1, 0}, std::array{16, 1, 1, 1, 1}, std::array{32, 1, 1, 1, 1}}) {
    INFO(ranks);
    CHECK(within_node(layout, Primitive::tp, ranks) == (tp == 1));
    CHECK(within_node(layout, Primitive::sp, ranks) == (sp == 1));
    CHECK(within_node(layout, Primitive::ep, ranks) == (ep == 1));
    CHECK(within_node(layout, Primitive::pp, ranks) == (pp == 1));
  }
  Traffic traffic;
  traffic.send(Primitive::tp, 100);
  traffic.send(Primitive::pp, 30);
  MachineLimits limits{1, 1, 10, 0.5, ""};
  CHECK(least_time({}, traffic, limits, layout, 8).communication == Approx(1 + 13));
  limits.between_bytes_per_second = 2;
  CHECK(least_time({}, traffic, limits, layout, 8).communication == Approx(1 + 10 + 15));
  CHECK(least_time({}, traffic, limits, layout, 16).communication == Approx(1 + 13));
}

TEST_CASE("a layout's speed is that of its two steps", "[prediction]") {
  const ModelFacts facts{small_model(), {}, DType::bf16};
  const Layout layout{2, 1, 1, 1, 1};
  const MachineLimits limits{1e9, 1e9, 1e6, 1e-6, ""};
  const auto ops = make_cpu_ops(1);
  const LayoutVerdict verdict = judge(layout, facts, {}, 2, Bytes{1} << 30U, *ops);
  REQUIRE(verdict.sizes.has_value());
  for (const bool digest : {false, true}) {
    const SpeedPrediction speed = predict_speed(verdict, limits, digest);
    const auto check = [&](const StepPrediction& found, const PlannedStep& step) {
      const auto& shape = verdict.sizes->shape;
      const StepPrediction expected =
          predict(step, layout, verdict.parts,
                  traffic_of(step, layout, verdict.parts, shape, digest), limits);
      CHECK(found.seconds == expected.seconds);
      CHECK(found.communication == expected.communication);
      CHECK(found.tokens_per_second == expected.tokens_per_second);
    };
    check(speed.decode, decode_step(*verdict.sizes, layout));
    check(speed.prefill, prefill_step(*verdict.sizes, layout));
  }
}

TEST_CASE("planned steps fill what the engine takes", "[prediction]") {
  EngineSizes sizes;
  sizes.max_sequence_length = 101;
  sizes.limits.max_batch_tokens = 200;
  sizes.limits.max_sequences = 8;
  sizes.limits.block_tokens = 16;
  sizes.limits.kv_blocks = 1000;
  sizes.limits.sp_threshold = 50;
  Layout layout;
  const auto same = [](const StepCase& found, const StepCase& expected) {
    CHECK(found.sequences == expected.sequences);
    CHECK(found.rows == expected.rows);
    CHECK(found.context == expected.context);
  };
  same(decode_step(sizes, layout).on_rank, {8, 1, 50});
  same(prefill_step(sizes, layout).on_rank, {2, 100, 0});
  layout.sp = 2;  // four prompts of 100 tokens, half of each on a rank
  CHECK(prefill_step(sizes, layout).shared);
  same(prefill_step(sizes, layout).on_rank, {4, 50, 25});
  CHECK(prefill_step(sizes, layout).tokens(layout) == 400);
  sizes.limits.sp_threshold = 500;
  CHECK_FALSE(prefill_step(sizes, layout).shared);
  sizes.limits.kv_blocks = 23;  // 51 tokens take four of them
  same(decode_step(sizes, layout).on_rank, {5, 1, 50});
  layout.pp = 4;
  same(decode_step(sizes, layout).on_rank, {2, 1, 50});
}

TEST_CASE("planned steps stay within every limit", "[prediction]") {
  EngineSizes sizes;
  sizes.max_sequence_length = 101;
  sizes.limits.max_batch_tokens = 200;
  sizes.limits.max_sequences = 8;
  sizes.limits.block_tokens = 16;
  sizes.limits.kv_blocks = 32;  // 51 tokens take four of them
  Layout layout;
  const auto same = [](const StepCase& found, const StepCase& expected) {
    CHECK(found.sequences == expected.sequences);
    CHECK(found.rows == expected.rows);
    CHECK(found.context == expected.context);
  };
  layout.pp = 3;  // eight sequences in three stages
  same(decode_step(sizes, layout).on_rank, {3, 1, 50});
  sizes.limits.max_batch_tokens = 2;
  same(decode_step(sizes, layout).on_rank, {2, 1, 50});
  sizes.limits.kv_blocks = 3;  // room for none of them
  same(decode_step(sizes, layout).on_rank, {1, 1, 50});
  sizes.limits.max_batch_tokens = 250;
  layout = {};
  same(prefill_step(sizes, layout).on_rank, {3, 83, 0});
  sizes.limits.max_sequences = 2;
  same(prefill_step(sizes, layout).on_rank, {2, 100, 0});
  sizes.max_sequence_length = 1;
  same(prefill_step(sizes, layout).on_rank, {2, 1, 0});
  sizes.max_sequence_length = 3;
  sizes.limits.sp_threshold = 2;  // just reached
  layout.sp = 4;                  // of two tokens
  CHECK(prefill_step(sizes, layout).shared);
  same(prefill_step(sizes, layout).on_rank, {2, 1, 1});
  layout.sp = 1;
  CHECK_FALSE(prefill_step(sizes, layout).shared);
}

}  // namespace
}  // namespace weft
