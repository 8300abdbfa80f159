#include "base/tracer.h"

#include <chrono>
#include <numeric>
#include <thread>

#include "base/quantiles.h"
#include "catch.h"

namespace {

using namespace weft;

void rest() { std::this_thread::sleep_for(std::chrono::milliseconds(5)); }

double of(const Tracer& tracer, Phase phase) {
  return tracer.seconds()[static_cast<std::size_t>(phase)];
}

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
