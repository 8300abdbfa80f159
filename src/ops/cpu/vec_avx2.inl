// Vec, the vector of 16 f32 lanes: two AVX2 registers. Included by avx2.cpp alone.
#include <immintrin.h>

#include <cstddef>
#include <cstdint>

namespace weft {
namespace {

#define WEFT_INLINE inline __attribute__((always_inline))

/// Rows and vectors (of 16 columns) of the register tile; rows up to which weights are widened on
/// the fly.
constexpr int kTileRows = 6;
constexpr int kTileVecs = 1;
constexpr int kDirectRows = 6;
/// Vectors that a tile of so many rows can have without leaving the registers.
constexpr int tile_vecs(int rows) { return rows == 1 ? 4 : rows == 2 ? 2 : 1; }

struct Vec {
  __m256 lo, hi;
};
struct Mask {
  __m256i lo, hi;
};

WEFT_INLINE Vec zero() { return {_mm256_setzero_ps(), _mm256_setzero_ps()}; }
WEFT_INLINE Vec splat(float x) { return {_mm256_set1_ps(x), _mm256_set1_ps(x)}; }
WEFT_INLINE Vec fma(Vec a, Vec b, Vec c) {
  return {_mm256_fmadd_ps(a.lo, b.lo, c.lo), _mm256_fmadd_ps(a.hi, b.hi, c.hi)};
}
WEFT_INLINE Vec operator+(Vec a, Vec b) {
  return {_mm256_add_ps(a.lo, b.lo), _mm256_add_ps(a.hi, b.hi)};
}
WEFT_INLINE Vec operator-(Vec a, Vec b) {
  return {_mm256_sub_ps(a.lo, b.lo), _mm256_sub_ps(a.hi, b.hi)};
}
WEFT_INLINE Vec operator*(Vec a, Vec b) {
  return {_mm256_mul_ps(a.lo, b.lo), _mm256_mul_ps(a.hi, b.hi)};
}
WEFT_INLINE Vec operator/(Vec a, Vec b) {
  return {_mm256_div_ps(a.lo, b.lo), _mm256_div_ps(a.hi, b.hi)};
}
WEFT_INLINE Vec negative(Vec a) {
  const __m256 sign = _mm256_set1_ps(-0.0F);
  return {_mm256_xor_ps(a.lo, sign), _mm256_xor_ps(a.hi, sign)};
}
/// a > b ? a : b, so b when either is NaN.
WEFT_INLINE Vec max(Vec a, Vec b) { return {_mm256_max_ps(a.lo, b.lo), _mm256_max_ps(a.hi, b.hi)}; }
/// a < b ? a : b, so b when either is NaN.
WEFT_INLINE Vec min(Vec a, Vec b) { return {_mm256_min_ps(a.lo, b.lo), _mm256_min_ps(a.hi, b.hi)}; }

/// Lanes [0, n), 0 <= n <= 16.
WEFT_INLINE Mask first_lanes(int n) {
  const __m256i lanes = _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7);
  return {_mm256_cmpgt_epi32(_mm256_set1_epi32(n), lanes),
          _mm256_cmpgt_epi32(_mm256_set1_epi32(n - 8), lanes)};
}
/// Lanes where a > b: none where either is NaN.
WEFT_INLINE Mask greater(Vec a, Vec b) {
  return {_mm256_castps_si256(_mm256_cmp_ps(a.lo, b.lo, _CMP_GT_OQ)),
          _mm256_castps_si256(_mm256_cmp_ps(a.hi, b.hi, _CMP_GT_OQ))};
}
/// a's lanes in the mask, b's elsewhere.
WEFT_INLINE Vec select(Mask m, Vec a, Vec b) {
  return {_mm256_blendv_ps(b.lo, a.lo, _mm256_castsi256_ps(m.lo)),
          _mm256_blendv_ps(b.hi, a.hi, _mm256_castsi256_ps(m.hi))};
}

WEFT_INLINE Vec load(const float* from) {
  return {_mm256_loadu_ps(from), _mm256_loadu_ps(from + 8)};
}
WEFT_INLINE void store(float* to, Vec a) {
  _mm256_storeu_ps(to, a.lo);
  _mm256_storeu_ps(to + 8, a.hi);
}
/// Lanes from n on are +0, and their memory is not touched.
WEFT_INLINE Vec load_part(const float* from, int n) {
  const Mask m = first_lanes(n);
  return {_mm256_maskload_ps(from, m.lo), _mm256_maskload_ps(from + 8, m.hi)};
}
WEFT_INLINE void store_part(float* to, Vec a, int n) {
  const Mask m = first_lanes(n);
  _mm256_maskstore_ps(to, m.lo, a.lo);
  _mm256_maskstore_ps(to + 8, m.hi, a.hi);
}

// bf16: an exact shift on the way in, integer round-to-nearest-even on the way out.
WEFT_INLINE __m256 widen(__m128i bits) {
  return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_cvtepu16_epi32(bits), 16));
}
WEFT_INLINE Vec load(const std::uint16_t* from) {
  const auto* const halves = reinterpret_cast<const __m128i*>(from);
  return {widen(_mm_loadu_si128(halves)), widen(_mm_loadu_si128(halves + 1))};
}
WEFT_INLINE Vec load_part(const std::uint16_t* from, int n) {
  alignas(32) std::uint16_t lanes[16] = {};
  for (int i = 0; i < n; ++i) lanes[i] = from[i];
  return load(lanes);
}
WEFT_INLINE __m256i narrow(__m256 a) {
  const __m256i bits = _mm256_castps_si256(a);
  const __m256i upper = _mm256_srli_epi32(bits, 16);
  const __m256i odd = _mm256_and_si256(upper, _mm256_set1_epi32(1));
  const __m256i rounded = _mm256_srli_epi32(
      _mm256_add_epi32(_mm256_add_epi32(bits, _mm256_set1_epi32(0x7fff)), odd), 16);
  const __m256 nan = _mm256_cmp_ps(a, a, _CMP_UNORD_Q);
  const __m256i quiet = _mm256_or_si256(upper, _mm256_set1_epi32(0x40));
  return _mm256_blendv_epi8(rounded, quiet, _mm256_castps_si256(nan));
}
WEFT_INLINE void store(std::uint16_t* to, Vec a) {
  const __m256i packed = _mm256_packus_epi32(narrow(a.lo), narrow(a.hi));
  _mm256_storeu_si256(reinterpret_cast<__m256i*>(to), _mm256_permute4x64_epi64(packed, 0xd8));
}
WEFT_INLINE void store_part(std::uint16_t* to, Vec a, int n) {
  alignas(32) std::uint16_t lanes[16];
  store(lanes, a);
  for (int i = 0; i < n; ++i) to[i] = lanes[i];
}

WEFT_INLINE __m256 scale_half(__m256 value, __m256 shifted, __m256 rounder) {
  const __m256i n = _mm256_sub_epi32(_mm256_castps_si256(shifted), _mm256_castps_si256(rounder));
  const __m256i half = _mm256_srai_epi32(n, 1);
  const __m256i bias = _mm256_set1_epi32(127);
  const __m256i first = _mm256_slli_epi32(_mm256_add_epi32(half, bias), 23);
  const __m256i second = _mm256_slli_epi32(_mm256_add_epi32(_mm256_sub_epi32(n, half), bias), 23);
  return _mm256_mul_ps(_mm256_mul_ps(value, _mm256_castsi256_ps(first)),
                       _mm256_castsi256_ps(second));
}
/// value * 2^n in two exact-power steps, n = the integer in the low bits of `shifted`, whose lanes
/// are `rounder` + n.
WEFT_INLINE Vec scale_by_power(Vec value, Vec shifted, Vec rounder) {
  return {scale_half(value.lo, shifted.lo, rounder.lo),
          scale_half(value.hi, shifted.hi, rounder.hi)};
}

/// Sum of the lanes by halving: lane j += lane j+8, then +4, +2, +1.
WEFT_INLINE float sum_by_halving(Vec a) {
  const __m256 eight = _mm256_add_ps(a.lo, a.hi);
  const __m128 four = _mm_add_ps(_mm256_castps256_ps128(eight), _mm256_extractf128_ps(eight, 1));
  const __m128 two = _mm_add_ps(four, _mm_movehl_ps(four, four));
  return _mm_cvtss_f32(_mm_add_ss(two, _mm_movehdup_ps(two)));
}

/// The first lane that equals `value`; 16 if none does.
WEFT_INLINE int first_equal(Vec a, float value) {
  const auto equal = [&](__m256 half) {
    return static_cast<unsigned>(
        _mm256_movemask_ps(_mm256_cmp_ps(half, _mm256_set1_ps(value), _CMP_EQ_OQ)));
  };
  return __builtin_ctz(equal(a.lo) | equal(a.hi) << 8U | 0x10000U);
}

/// The largest lane (no NaN among them).
WEFT_INLINE float largest_lane(Vec a) {
  const __m256 eight = _mm256_max_ps(a.lo, a.hi);
  const __m128 four = _mm_max_ps(_mm256_castps256_ps128(eight), _mm256_extractf128_ps(eight, 1));
  const __m128 two = _mm_max_ps(four, _mm_movehl_ps(four, four));
  return _mm_cvtss_f32(_mm_max_ss(two, _mm_movehdup_ps(two)));
}

/// 32 bytes of integers in 2 lanes of 16.
struct Bits {
  __m256i v;
};
constexpr int kBitLanes = 2;
/// 16 bytes of each of 2 places `stride` bytes apart, one in each lane.
WEFT_INLINE Bits load_lanes(const std::byte* from, std::int64_t stride) {
  const auto lane = [&](int i) {
    return _mm_loadu_si128(reinterpret_cast<const __m128i*>(from + i * stride));
  };
  return {_mm256_inserti128_si256(_mm256_castsi128_si256(lane(0)), lane(1), 1)};
}
/// In each lane, alternating: the lower (higher) half of a's elements and of b's.
WEFT_INLINE Bits zip_low(Bits a, Bits b, std::uint16_t /*element*/) {
  return {_mm256_unpacklo_epi16(a.v, b.v)};
}
WEFT_INLINE Bits zip_high(Bits a, Bits b, std::uint16_t /*element*/) {
  return {_mm256_unpackhi_epi16(a.v, b.v)};
}
WEFT_INLINE Bits zip_low(Bits a, Bits b, float /*element*/) {
  return {_mm256_unpacklo_epi32(a.v, b.v)};
}
WEFT_INLINE Bits zip_high(Bits a, Bits b, float /*element*/) {
  return {_mm256_unpackhi_epi32(a.v, b.v)};
}
WEFT_INLINE void store(std::byte* to, Bits a) {
  _mm256_storeu_si256(reinterpret_cast<__m256i*>(to), a.v);
}

}  // namespace
}  // namespace weft
