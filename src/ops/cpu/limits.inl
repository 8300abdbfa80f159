// The most fused multiply-adds that the processor does: a loop that touches registers only.

namespace weft {
namespace {

/// `rounds` rounds of kSpinChains independent multiply-adds of 16 lanes. The result only keeps the
/// loop from being removed.
float spin_fma(std::int64_t rounds, float seed) {
  Vec sums[kSpinChains];
  for (Vec& sum : sums) sum = splat(seed);
  const Vec a = splat(seed * 0.5F);
  const Vec b = splat(seed * 0.25F);
  for (std::int64_t i = 0; i < rounds; ++i) {
    for (Vec& sum : sums) sum = fma(sum, a, b);
  }
  Vec total = zero();
  for (const Vec& sum : sums) total = total + sum;
  float lanes[16];
  store(lanes, total);
  return lanes[0];
}

}  // namespace
}  // namespace weft
