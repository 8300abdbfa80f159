// Vec, the vector of 16 f32 lanes: one AVX-512 register. Included by avx512.cpp and
// avx512_bf16.cpp alone.
// GCC 12 warns about its own header (bug 105593).
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"
#include <immintrin.h>
#pragma GCC diagnostic pop

#include <cstddef>
#include <cstdint>

namespace weft {
namespace {

#define WEFT_INLINE inline __attribute__((always_inline))

/// Rows and vectors (of 16 columns) of the register tile; rows up to which weights are widened on
/// the fly.
constexpr int kTileRows = 12;
constexpr int kTileVecs = 2;
constexpr int kDirectRows = 12;
/// Vectors that a tile of so many rows can have without leaving the registers.
constexpr int tile_vecs(int rows) { return rows <= 3 ? 8 : rows <= 6 ? 4 : 2; }

struct Vec {
  __m512 v;
};
struct Mask {
  __mmask16 m;
};

WEFT_INLINE Vec zero() { return {_mm512_setzero_ps()}; }
WEFT_INLINE Vec splat(float x) { return {_mm512_set1_ps(x)}; }
WEFT_INLINE Vec fma(Vec a, Vec b, Vec c) { return {_mm512_fmadd_ps(a.v, b.v, c.v)}; }
WEFT_INLINE Vec operator+(Vec a, Vec b) { return {_mm512_add_ps(a.v, b.v)}; }
WEFT_INLINE Vec operator-(Vec a, Vec b) { return {_mm512_sub_ps(a.v, b.v)}; }
WEFT_INLINE Vec operator*(Vec a, Vec b) { return {_mm512_mul_ps(a.v, b.v)}; }
WEFT_INLINE Vec operator/(Vec a, Vec b) { return {_mm512_div_ps(a.v, b.v)}; }
WEFT_INLINE Vec negative(Vec a) { return {_mm512_xor_ps(a.v, _mm512_set1_ps(-0.0F))}; }
/// a > b ? a : b, so b when either is NaN.
WEFT_INLINE Vec max(Vec a, Vec b) { return {_mm512_max_ps(a.v, b.v)}; }
/// a < b ? a : b, so b when either is NaN.
WEFT_INLINE Vec min(Vec a, Vec b) { return {_mm512_min_ps(a.v, b.v)}; }

/// Lanes [0, n), 0 <= n <= 16.
WEFT_INLINE Mask first_lanes(int n) { return {static_cast<__mmask16>((1U << n) - 1U)}; }
/// Lanes where a > b: none where either is NaN.
WEFT_INLINE Mask greater(Vec a, Vec b) { return {_mm512_cmp_ps_mask(a.v, b.v, _CMP_GT_OQ)}; }
/// a's lanes in the mask, b's elsewhere.
WEFT_INLINE Vec select(Mask m, Vec a, Vec b) { return {_mm512_mask_blend_ps(m.m, b.v, a.v)}; }

WEFT_INLINE Vec load(const float* from) { return {_mm512_loadu_ps(from)}; }
WEFT_INLINE void store(float* to, Vec a) { _mm512_storeu_ps(to, a.v); }
/// Lanes from n on are +0, and their memory is not touched.
WEFT_INLINE Vec load_part(const float* from, int n) {
  return {_mm512_maskz_loadu_ps(first_lanes(n).m, from)};
}
WEFT_INLINE void store_part(float* to, Vec a, int n) {
  _mm512_mask_storeu_ps(to, first_lanes(n).m, a.v);
}

// bf16: an exact shift on the way in, integer round-to-nearest-even on the way out.
WEFT_INLINE Vec widen(__m256i bits) {
  return {_mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(bits), 16))};
}
WEFT_INLINE Vec load(const std::uint16_t* from) {
  return widen(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(from)));
}
WEFT_INLINE Vec load_part(const std::uint16_t* from, int n) {
  return widen(_mm256_maskz_loadu_epi16(first_lanes(n).m, from));
}
WEFT_INLINE __m256i narrow(Vec a) {
  const __m512i bits = _mm512_castps_si512(a.v);
  const __m512i upper = _mm512_srli_epi32(bits, 16);
  const __m512i odd = _mm512_and_si512(upper, _mm512_set1_epi32(1));
  const __m512i rounded = _mm512_srli_epi32(
      _mm512_add_epi32(_mm512_add_epi32(bits, _mm512_set1_epi32(0x7fff)), odd), 16);
  const __mmask16 nan = _mm512_cmp_ps_mask(a.v, a.v, _CMP_UNORD_Q);
  const __m512i quiet = _mm512_or_si512(upper, _mm512_set1_epi32(0x40));
  return _mm512_cvtepi32_epi16(_mm512_mask_blend_epi32(nan, rounded, quiet));
}
WEFT_INLINE void store(std::uint16_t* to, Vec a) {
  _mm256_storeu_si256(reinterpret_cast<__m256i*>(to), narrow(a));
}
WEFT_INLINE void store_part(std::uint16_t* to, Vec a, int n) {
  _mm256_mask_storeu_epi16(to, first_lanes(n).m, narrow(a));
}

/// value * 2^n, where the lanes of `shifted` are `rounder` + n. The others do it in two steps, of
/// which the first is exact for a value near 1: there is one rounding here as there.
WEFT_INLINE Vec scale_by_power(Vec value, Vec shifted, Vec rounder) {
  return {_mm512_scalef_ps(value.v, _mm512_sub_ps(shifted.v, rounder.v))};
}

/// Sum of the lanes by halving: lane j += lane j+8, then +4, +2, +1.
WEFT_INLINE float sum_by_halving(Vec a) {
  const __m256 eight = _mm256_add_ps(_mm512_castps512_ps256(a.v), _mm512_extractf32x8_ps(a.v, 1));
  const __m128 four = _mm_add_ps(_mm256_castps256_ps128(eight), _mm256_extractf128_ps(eight, 1));
  const __m128 two = _mm_add_ps(four, _mm_movehl_ps(four, four));
  return _mm_cvtss_f32(_mm_add_ss(two, _mm_movehdup_ps(two)));
}

/// The first lane that equals `value`; 16 if none does.
WEFT_INLINE int first_equal(Vec a, float value) {
  const unsigned equal = _mm512_cmp_ps_mask(a.v, _mm512_set1_ps(value), _CMP_EQ_OQ);
  return __builtin_ctz(equal | 0x10000U);
}

/// The largest lane (no NaN among them).
WEFT_INLINE float largest_lane(Vec a) { return _mm512_reduce_max_ps(a.v); }

/// 64 bytes of integers in 4 lanes of 16.
struct Bits {
  __m512i v;
};
constexpr int kBitLanes = 4;
/// 16 bytes of each of 4 places `stride` bytes apart, one in each lane.
WEFT_INLINE Bits load_lanes(const std::byte* from, std::int64_t stride) {
  const auto lane = [&](int i) {
    return _mm_loadu_si128(reinterpret_cast<const __m128i*>(from + i * stride));
  };
  const __m512i low = _mm512_inserti32x4(_mm512_castsi128_si512(lane(0)), lane(1), 1);
  return {_mm512_inserti32x4(_mm512_inserti32x4(low, lane(2), 2), lane(3), 3)};
}
/// In each lane, alternating: the lower (higher) half of a's elements and of b's.
WEFT_INLINE Bits zip_low(Bits a, Bits b, std::uint16_t /*element*/) {
  return {_mm512_unpacklo_epi16(a.v, b.v)};
}
WEFT_INLINE Bits zip_high(Bits a, Bits b, std::uint16_t /*element*/) {
  return {_mm512_unpackhi_epi16(a.v, b.v)};
}
WEFT_INLINE Bits zip_low(Bits a, Bits b, float /*element*/) {
  return {_mm512_unpacklo_epi32(a.v, b.v)};
}
WEFT_INLINE Bits zip_high(Bits a, Bits b, float /*element*/) {
  return {_mm512_unpackhi_epi32(a.v, b.v)};
}
WEFT_INLINE void store(std::byte* to, Bits a) {
  _mm512_storeu_si512(reinterpret_cast<__m512i*>(to), a.v);
}

}  // namespace
}  // namespace weft
