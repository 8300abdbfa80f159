// Traffic and roofline of the plan: the definitions, and numbers worked out by hand.
#include "plan/prediction.h"

#include <algorithm>
#include <vector>

#include "base/error.h"
#include "catch.h"
#include "plan/route_counts.h"

namespace weft {
namespace {

TEST_CASE("a byte counts once for each rank that it goes to", "[traffic]") {
  Traffic traffic;
  traffic.all_gather(Primitive::tp, 1, std::vector<Bytes>{10, 20, 30});
  CHECK(traffic.of(Primitive::tp, Operation::all_gather) == Transfer{1, 40, 40});
  traffic.all_to_all(Primitive::ep, 0, std::vector<Bytes>{1, 2, 4}, std::vector<Bytes>{8, 16, 32});
  CHECK(traffic.of(Primitive::ep, Operation::all_to_all) == Transfer{1, 6, 48});
  traffic.broadcast(Primitive::sp, 0, 4, 5, 0);
  traffic.broadcast(Primitive::sp, 0, 4, 5, 2);
  CHECK(traffic.of(Primitive::sp, Operation::broadcast) == Transfer{2, 15, 5});
  traffic.send(Primitive::pp, 7);
  traffic.receive(Primitive::pp, 9);
  CHECK(traffic.total(Primitive::pp) == Transfer{2, 7, 9});
  const Traffic before = traffic;
  traffic.all_gather(Primitive::tp, 0, std::vector<Bytes>{10});
  traffic.broadcast(Primitive::tp, 0, 1, 5, 0);
  CHECK(traffic == before);
  CHECK_THROWS_AS(traffic.of(Primitive::dp, Operation::send), Error);
}

TEST_CASE("routes are counted by slice and part", "[traffic]") {
  MoePartition part;
  part.config.experts = 4;
  part.config.per_token = 2;
  part.place = {0, 4, 4, 2};  // two domains of two ranks, an expert on each rank
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

ModelConfig small_model() {
  ModelConfig config;
  config.layers = 2;
  config.hidden = 32;
  config.query_heads = 2;
  config.kv_heads = 1;
  config.head_dim = 16;
  config.ffn = 64;
  config.vocab = 256;
  config.max_positions = 64;
  config.windows = {0, 0};
  return config;
}

TEST_CASE("the work of a rank is that of its stage", "[prediction]") {
  const ModelFacts facts{small_model(), {}, DType::bf16};
  const StepCase decode{3, 1, 9};
  const auto parts = partitions_of(facts, Layout{}, 0);
  // q/k/v 32 x 64, o 32 x 32, gate/up 128 x 32, down 32 x 64; the head 256 x 32.
  constexpr double kAttention = 32 * 64 + 32 * 32;
  constexpr double kFfn = 3 * 32 * 64;
  constexpr double kHead = 256 * 32;
  const StepWork whole = work_of(decode, parts.front());
  const double keys = 2 * 3 * 10;  // layers, sequences, tokens
  CHECK(whole.bytes == Approx(2 * (2 * (kAttention + kFfn) + kHead + 2 * 16 * keys)));
  CHECK(whole.flops == Approx(2 * 3 * (2 * (kAttention + kFfn) + kHead) + 4 * keys * 32));
  Layout staged;
  staged.pp = 2;
  StepWork sum;
  for (const Partition& part : partitions_of(facts, staged, 0)) {
    sum.bytes += work_of(decode, part).bytes;
    sum.flops += work_of(decode, part).flops;
  }
  CHECK(sum.bytes == Approx(whole.bytes));
  CHECK(sum.flops == Approx(whole.flops));
}

TEST_CASE("experts are read as far as they are met", "[prediction]") {
  ModelConfig config = small_model();
  config.moe.experts = 4;
  config.moe.per_token = 1;
  config.moe.ffn = 16;
  config.moe.sparse = {true, true};
  const auto parts = partitions_of({config, {}, DType::bf16}, Layout{}, 0);
  const StepCase one{1, 1, 0};
  const StepCase two{2, 1, 0};
  constexpr double kExpert = 3 * 32 * 16;
  constexpr double kRest = 2 * (32 * 64 + 32 * 32 + 4 * 32) + 256 * 32;
  const double keys = 2 * 2 * 16;  // of both layers, a token
  CHECK(work_of(one, parts[0]).bytes == Approx(2 * (kRest + 2 * kExpert + keys)));
  // Two tokens meet 4 * (1 - (3/4)^2) = 1.75 experts of a layer.
  CHECK(work_of(two, parts[0]).bytes == Approx(2 * (kRest + 2 * 1.75 * kExpert + 2 * keys)));
  CHECK(work_of(two, parts[0]).flops == Approx(2 * (work_of(one, parts[0]).flops)));
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

TEST_CASE("planned steps fill what the engine takes", "[prediction]") {
  EngineSizes sizes;
  sizes.max_sequence_length = 101;
  sizes.limits.max_batch_tokens = 200;
  sizes.limits.max_sequences = 8;
  sizes.limits.page_tokens = 16;
  sizes.limits.pages = 1000;
  sizes.limits.share_from = 50;
  Layout layout;
  const auto same = [](const StepCase& found, const StepCase& expected) {
    CHECK(found.sequences == expected.sequences);
    CHECK(found.rows == expected.rows);
    CHECK(found.context == expected.context);
  };
  same(decode_step(sizes, layout).on_rank, {8, 1, 50});
  same(decode_step(sizes, layout, 30).on_rank, {8, 1, 30});
  same(prefill_step(sizes, layout).on_rank, {2, 100, 0});
  layout.sp = 2;  // four prompts of 100 tokens, half of each on a rank
  CHECK(prefill_step(sizes, layout).shared);
  same(prefill_step(sizes, layout).on_rank, {4, 50, 25});
  CHECK(prefill_step(sizes, layout).tokens(layout) == 400);
  sizes.limits.share_from = 500;
  CHECK_FALSE(prefill_step(sizes, layout).shared);
  sizes.limits.pages = 10;  // room for 20 tokens of each
  same(decode_step(sizes, layout).on_rank, {8, 1, 19});
  layout.pp = 4;
  same(decode_step(sizes, layout).on_rank, {2, 1, 19});
}

}  // namespace
}  // namespace weft
