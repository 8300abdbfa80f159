// Time by phase where operators run behind the host's back.
#include <numeric>
#include <vector>

#include "catch.h"
#include "compare.h"
#include "ops/make_cpu_ops.h"
#include "support/replica.h"

namespace weft::test {
namespace {

/// Counts what is asked of another clock.
class CountingClock final : public DeviceClock {
 public:
  explicit CountingClock(DeviceClock& clock) : clock_(clock) {}
  void mark() override {
    ++set;
    clock_.mark();
  }
  void read(std::vector<std::int64_t>& gaps) override {
    const std::size_t before = gaps.size();
    clock_.read(gaps);
    passed += static_cast<int>(gaps.size() - before);
  }
  int set = 0;
  int passed = 0;

 private:
  DeviceClock& clock_;
};

double of(const PhaseSeconds& seconds, Phase phase) {
  return seconds[static_cast<std::size_t>(phase)];
}

}  // namespace

TEST_CASE("a step has few marks, and their time is told by phase", "[cuda][phases]") {
  const auto alone = make_self_group();
  const nlohmann::json config = tiny_config("llama");
  const SyntheticModel model(config, DType::bf16, 3);
  const std::vector<Request> requests = varied_requests(4, config["vocab_size"], 7, 60, 4);
  for (const bool spans : {false, true}) {
    INFO("spans " << spans);
    const auto ops = testing::make_device(1);
    REQUIRE(ops->clock() != nullptr);
    CountingClock clock(*ops->clock());
    ReplicaOptions options;
    options.borrowed_ops = ops.get();
    Replica replica(model.path(), options, *alone);
    Tracer& tracer = replica.model().tracer();
    if (spans) tracer.keep_spans(10'000);
    tracer.follow(clock);
    const std::int64_t begin = Tracer::now();
    EngineStats stats;
    replica.complete(requests, &stats);
    ops->wait();
    tracer.catch_up();
    const double all = static_cast<double>(Tracer::now() - begin) * 1e-9;
    CHECK(clock.passed == clock.set);
    const PhaseSeconds seconds = tracer.seconds();
    // Forward pass, head, choosing, bookkeeping: each has two ends.
    const auto steps = static_cast<int>(stats.steps);
    if (spans) {
      CHECK(clock.set > 8 * steps);
      CHECK(of(seconds, Phase::attention) > 0);
      CHECK(of(seconds, Phase::ffn) > 0);
      CHECK(!tracer.spans().empty());
    } else {
      CHECK(clock.set >= 6 * steps);
      CHECK(clock.set <= 12 * steps + 12);
      CHECK(of(seconds, Phase::attention) == 0);
    }
    CHECK(of(seconds, Phase::prefill) > 0);
    CHECK(of(seconds, Phase::decode) > 0);
    CHECK(of(seconds, Phase::sampling) > 0);
    CHECK(stats.prefill_seconds >= of(seconds, Phase::prefill));
    CHECK(of(seconds, Phase::prefill) + of(seconds, Phase::decode) + of(seconds, Phase::logits) +
              of(seconds, Phase::sampling) <=
          all);
  }
}

TEST_CASE("operators on the host have no clock of their own", "[phases]") {
  CHECK(make_cpu_ops(1)->clock() == nullptr);
}

}  // namespace weft::test
