// Pairs of bf16 in the lanes of Vec, by AVX512_BF16. Included by avx512_bf16.cpp alone.

namespace weft {
namespace {

/// Lane by lane: fma(a's lower half, b's lower, fma(a's upper, b's upper, c)), denormal numbers
/// being zeros.
WEFT_INLINE Vec fma_pairs(Vec a, Vec b, Vec c) {
  const auto halves = [](Vec v) { return reinterpret_cast<__m512bh>(_mm512_castps_si512(v.v)); };
  return {_mm512_dpbf16_ps(c.v, halves(a), halves(b))};
}

/// Up to 32 elements, the first of each two in the upper half; missing ones are +0.
WEFT_INLINE Vec load_pairs(const std::uint16_t* from, int n) {
  const __mmask32 present = n == 32 ? ~__mmask32{0} : (__mmask32{1} << n) - 1U;
  return {_mm512_castsi512_ps(_mm512_rol_epi32(_mm512_maskz_loadu_epi16(present, from), 16))};
}

/// 32 elements of each of two columns, those of the first in the upper halves.
WEFT_INLINE void zip_columns(const std::uint16_t* first, const std::uint16_t* second,
                             Vec (&to)[2]) {
  // Element i of the second, then element i of the first.
  alignas(64) static constexpr std::uint16_t kOrder[32] = {
      0, 32, 1, 33, 2,  34, 3,  35, 4,  36, 5,  37, 6,  38, 7,  39,
      8, 40, 9, 41, 10, 42, 11, 43, 12, 44, 13, 45, 14, 46, 15, 47};
  const __m512i low = _mm512_load_si512(kOrder);
  const __m512i high = _mm512_add_epi16(low, _mm512_set1_epi16(16));
  const __m512i upper = _mm512_loadu_si512(first);
  const __m512i lower = _mm512_loadu_si512(second);
  to[0] = {_mm512_castsi512_ps(_mm512_permutex2var_epi16(lower, low, upper))};
  to[1] = {_mm512_castsi512_ps(_mm512_permutex2var_epi16(lower, high, upper))};
}

}  // namespace
}  // namespace weft
