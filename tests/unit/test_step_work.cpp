// What a step reads and computes: numbers worked out by hand.
#include "plan/step_work.h"

#include <algorithm>
#include <cmath>
#include <vector>

#include "catch.h"
#include "plan/sizing.h"
#include "planned_models.h"

namespace weft {
namespace {

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

TEST_CASE("a window bounds what is seen and read", "[prediction]") {
  ModelConfig config = small_model();
  config.kv_heads = 2;
  config.windows = {0, 8};
  config.vocab = 512;
  const ModelFacts facts{config, {}, DType::bf16};
  const StepCase step{2, 4, 10};
  const StepWork whole = work_of(step, partitions_of(facts, Layout{}, 0).front());
  constexpr double kAttention = 32 * 96 + 32 * 32;
  constexpr double kFfn = 3 * 32 * 64;
  constexpr double kHead = 512 * 32;
  constexpr double kSeen = 2 * 4 * (12.5 + 8);  // by the rows, in both layers
  constexpr double kRead = 2 * (14 + 12);       // of the window and the rows behind it
  CHECK(whole.bytes == Approx(2 * (2 * (kAttention + kFfn) + kHead + 2 * 32 * kRead)));
  CHECK(whole.flops == Approx(2 * (8 * 2 * (kAttention + kFfn) + 2 * kHead) + 4 * kSeen * 32));
  for (const Layout& layout : {Layout{2, 1, 1, 1, 1}, Layout{1, 4, 1, 1, 1}}) {
    INFO(to_string(layout));
    StepWork sum;
    for (const Partition& part : partitions_of(facts, layout, 0)) {
      sum.bytes += work_of(step, part).bytes;
      sum.flops += work_of(step, part).flops;
    }
    CHECK(sum.bytes == Approx(whole.bytes));
    CHECK(sum.flops == Approx(whole.flops));
  }
  const auto stages = partitions_of(facts, Layout{1, 4, 1, 1, 1}, 0);
  CHECK(work_of(step, stages[1]).bytes == Approx(2 * kFfn));  // nothing but an ffn
  CHECK(work_of(step, stages[1]).flops == Approx(2 * 8 * kFfn));
}

TEST_CASE("experts work for all domains, the shared one for its own", "[prediction]") {
  const ModelFacts facts{model_with_experts(), {}, DType::bf16};
  const StepCase step{3, 2, 0};
  constexpr double kDense = 2 * (32 * 64 + 32 * 32) + 3 * 32 * 64;
  constexpr double kRouter = 4 * 32;
  constexpr double kExpert = 3 * 32 * 32;
  constexpr double kShared = 32 + 3 * 32 * 64;
  constexpr double kHead = 512 * 32;
  // Two of the experts, of which twelve rows meet each with a chance of one half.
  const double met = 2 * (1 - std::pow(0.5, 12));
  const double keys = 2 * 3 * 2;  // layers, sequences, tokens
  const double pairs = 2 * 3 * 2 * 1.5;
  const double bytes = 2 * (kDense + kRouter + met * kExpert + kShared + kHead + 2 * 16 * keys);
  const double flops =
      2 * (6 * (kDense + kRouter + kShared) + 12 * kExpert + 3 * kHead) + 4 * pairs * 32;
  for (const int pp : {1, 2}) {
    const auto parts = partitions_of(facts, Layout{1, pp, 2, 2, 1}, 0);
    StepWork sum;  // of the second domain's rank of each stage
    for (std::size_t i = 1; i < parts.size(); i += 2) {
      sum.bytes += work_of(step, parts[i]).bytes;
      sum.flops += work_of(step, parts[i]).flops;
    }
    CHECK(sum.bytes == Approx(bytes));
    CHECK(sum.flops == Approx(flops));
  }
}

}  // namespace
}  // namespace weft
