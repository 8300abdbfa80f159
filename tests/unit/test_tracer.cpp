#include "base/tracer.h"

#include <chrono>
#include <numeric>
#include <thread>
#include <utility>
#include <vector>

#include "base/quantiles.h"
#include "catch.h"

namespace {

using namespace weft;

void rest() { std::this_thread::sleep_for(std::chrono::milliseconds(5)); }

double of(const Tracer& tracer, Phase phase) {
  return tracer.seconds()[static_cast<std::size_t>(phase)];
}

/// A device whose marks are passed when the test says so.
class ScriptedClock final : public DeviceClock {
 public:
  void mark() override { ++marks; }
  void read(std::vector<std::int64_t>& to) override {
    to.insert(to.end(), gaps.begin(), gaps.end());
    gaps.clear();
  }
  int marks = 0;
  std::vector<std::int64_t> gaps;
};

constexpr std::int64_t kMillisecond = 1'000'000;

}  // namespace

TEST_CASE("time counts for the innermost phase, and all of it for one", "[tracer]") {
  Tracer tracer;
  const std::int64_t begin = Tracer::now();
  {
    const Tracer::Scope prefill(tracer, Phase::prefill);
    CHECK(tracer.current() == Phase::prefill);
    {
      const Tracer::Scope attention(tracer, Phase::attention);
      rest();
      const Tracer::Scope communication(tracer, Phase::communication);
      rest();
    }
    CHECK(tracer.current() == Phase::prefill);
  }
  { const Tracer::Scope output(tracer, Phase::output); }
  const double all = static_cast<double>(Tracer::now() - begin) * 1e-9;
  CHECK(tracer.current() == Phase::other);
  CHECK(of(tracer, Phase::attention) >= 0.005);
  CHECK(of(tracer, Phase::communication) >= 0.005);
  CHECK(of(tracer, Phase::prefill) < all - 0.0099);
  CHECK(of(tracer, Phase::ffn) == 0);
  const PhaseSeconds seconds = tracer.seconds();
  CHECK(std::accumulate(seconds.begin(), seconds.end(), 0.0) == Approx(all).margin(0.002));
  CHECK(tracer.spans().empty());  // they were not asked for
  CHECK(tracer.dropped() == 0);
}

TEST_CASE("spans nest, and those without room are counted", "[tracer]") {
  Tracer tracer;
  tracer.keep_spans(3);
  const void* memory = tracer.spans().data();
  for (int i = 0; i < 2; ++i) {
    const Tracer::Scope decode(tracer, Phase::decode);
    const Tracer::Scope ffn(tracer, Phase::ffn);
  }
  REQUIRE(tracer.spans().size() == 3);
  CHECK(tracer.dropped() == 1);
  CHECK(tracer.spans().data() == memory);  // nothing was allocated anew
  const TraceSpan inner = tracer.spans()[0];
  const TraceSpan outer = tracer.spans()[1];
  CHECK(inner.phase == Phase::ffn);
  CHECK(outer.phase == Phase::decode);
  CHECK(outer.begin <= inner.begin);
  CHECK(inner.begin <= inner.end);
  CHECK(inner.end <= outer.end);
  CHECK(outer.end <= tracer.spans()[2].begin);
}

TEST_CASE("phases of a device last from mark to mark", "[tracer]") {
  ScriptedClock clock;
  Tracer tracer;
  tracer.follow(clock);
  {
    const Tracer::Scope decode(tracer, Phase::decode);
    const Tracer::Scope attention(tracer, Phase::attention);
    CHECK(tracer.current() == Phase::attention);
    const Tracer::Scope bubble(tracer, Phase::bubble);
  }
  { const Tracer::Scope sampling(tracer, Phase::sampling); }
  CHECK(tracer.current() == Phase::other);
  CHECK(clock.marks == 6);  // attention is a part of decode unless spans are kept
  rest();
  tracer.catch_up();
  CHECK(of(tracer, Phase::decode) == 0);  // the device has come by nothing yet
  clock.gaps = {0, kMillisecond, kMillisecond / 2};
  tracer.catch_up();
  CHECK(of(tracer, Phase::decode) == Approx(0.001));
  CHECK(of(tracer, Phase::bubble) == Approx(0.0005));
  clock.gaps = {2 * kMillisecond, 0, kMillisecond / 4};
  tracer.catch_up();
  CHECK(of(tracer, Phase::decode) == Approx(0.003));
  CHECK(of(tracer, Phase::sampling) == Approx(0.00025));
  CHECK(of(tracer, Phase::attention) == 0);
  const PhaseSeconds outermost = tracer.outermost_seconds();
  CHECK(outermost[static_cast<std::size_t>(Phase::decode)] == Approx(0.0035));
  CHECK(outermost[static_cast<std::size_t>(Phase::bubble)] == 0);
}

TEST_CASE("spans of a device stand where the host's time has them", "[tracer]") {
  ScriptedClock clock;
  Tracer tracer;
  tracer.keep_spans(10);
  tracer.follow(clock);
  const std::int64_t begin = Tracer::now();
  {
    const Tracer::Scope decode(tracer, Phase::decode);
    const Tracer::Scope ffn(tracer, Phase::ffn);
  }
  CHECK(clock.marks == 4);
  rest();
  clock.gaps = {0, kMillisecond, kMillisecond, kMillisecond};
  tracer.catch_up();
  REQUIRE(tracer.spans().size() == 2);
  const TraceSpan ffn = tracer.spans()[0];
  const TraceSpan decode = tracer.spans()[1];
  CHECK(ffn.phase == Phase::ffn);
  CHECK(ffn.end - ffn.begin == kMillisecond);
  CHECK(decode.end - decode.begin == 3 * kMillisecond);
  CHECK(decode.begin >= begin);
  CHECK(decode.begin < ffn.begin);
  CHECK(decode.end <= Tracer::now());
}

TEST_CASE("a device's clock that goes wrong does not make more time than there is", "[tracer]") {
  for (const double rate : {0.5, 2.0}) {
    INFO("the device's clock goes " << rate << " times as fast");
    ScriptedClock clock;
    Tracer tracer;
    tracer.follow(clock);
    const std::int64_t begin = Tracer::now();
    std::int64_t last = begin;
    for (int step = 0; step < 4; ++step) {
      const auto gap = [&] {
        const std::int64_t now = Tracer::now();
        clock.gaps.push_back(
            static_cast<std::int64_t>(static_cast<double>(now - std::exchange(last, now)) * rate));
      };
      {
        const Tracer::Scope decode(tracer, Phase::decode);
        gap();
        rest();
      }
      gap();
      tracer.catch_up();
    }
    const PhaseSeconds seconds = tracer.seconds();
    const double all = static_cast<double>(Tracer::now() - begin) * 1e-9;
    CHECK(std::accumulate(seconds.begin(), seconds.end(), 0.0) <= all + 1e-3);
    CHECK(of(tracer, Phase::decode) > 0.009);
    CHECK(of(tracer, Phase::decode) <= all);
  }
}

TEST_CASE("entering and leaving a phase costs less than a microsecond", "[tracer]") {
  Tracer tracer;
  tracer.keep_spans(100'000);
  constexpr int rounds = 100'000;
  const std::int64_t begin = Tracer::now();
  for (int i = 0; i < rounds; ++i) const Tracer::Scope scope(tracer, Phase::attention);
  const double each = static_cast<double>(Tracer::now() - begin) / rounds;
  CHECK(tracer.spans().size() == rounds);
#if defined(NDEBUG) || defined(__OPTIMIZE__)
  CHECK(each < 1000);  // nanoseconds; about 150 on a busy virtual machine
#endif
}

TEST_CASE("quantiles are right to half a percent, however many values", "[quantiles]") {
  Quantiles quantiles;
  CHECK(quantiles.at(0.5) == 0);
  quantiles.add(7);
  CHECK(quantiles.at(0.01) == 7);
  CHECK(quantiles.at(1) == 7);

  Quantiles odd;
  Quantiles even;
  for (int i = 1; i <= 100'000; ++i) (i % 2 == 0 ? even : odd).add(i * 1e-4);
  odd.add(even);
  CHECK(odd.count() == 100'000);
  for (const double share : {0.0001, 0.01, 0.5, 0.9, 0.99, 1.0}) {
    INFO(share);
    CHECK(odd.at(share) == Approx(share * 10).epsilon(0.005));
  }
}

TEST_CASE("quantiles take any value", "[quantiles]") {
  Quantiles quantiles;
  for (const double value : {0.0, -1.0, 1e-9}) quantiles.add(value);
  CHECK(quantiles.at(1) == Approx(1e-6).epsilon(0.01));
  quantiles.add(1e300);
  CHECK(quantiles.at(1) == Approx(1e6).epsilon(0.01));
  CHECK(quantiles.count() == 4);
}
