// Vec, the vector of 16 f32 lanes: an array, for processors without kernels of their own. Included
// by plain.cpp alone; a compiler for a processor with FMA vectorises it.
#include <cstddef>
#include <cstdint>
#include <cstring>

namespace weft {
namespace {

#define WEFT_INLINE inline __attribute__((always_inline))

/// Rows and vectors (of 16 columns) of the register tile; rows up to which weights are widened on
/// the fly.
constexpr int kTileRows = 4;
constexpr int kTileVecs = 1;
constexpr int kDirectRows = 1;
/// Vectors that a tile of so many rows can have without leaving the registers.
constexpr int tile_vecs(int rows) { return rows == 1 ? 2 : 1; }

struct Vec {
  float v[16];
};
struct Mask {
  bool m[16];
};

#define WEFT_LANES for (int i = 0; i < 16; ++i)

WEFT_INLINE Vec zero() { return {}; }
WEFT_INLINE Vec splat(float x) {
  Vec r;
  WEFT_LANES r.v[i] = x;
  return r;
}
WEFT_INLINE Vec fma(Vec a, Vec b, Vec c) {
  WEFT_LANES a.v[i] = __builtin_fmaf(a.v[i], b.v[i], c.v[i]);
  return a;
}
WEFT_INLINE Vec operator+(Vec a, Vec b) {
  WEFT_LANES a.v[i] = a.v[i] + b.v[i];
  return a;
}
WEFT_INLINE Vec operator-(Vec a, Vec b) {
  WEFT_LANES a.v[i] = a.v[i] - b.v[i];
  return a;
}
WEFT_INLINE Vec operator*(Vec a, Vec b) {
  WEFT_LANES a.v[i] = a.v[i] * b.v[i];
  return a;
}
WEFT_INLINE Vec operator/(Vec a, Vec b) {
  WEFT_LANES a.v[i] = a.v[i] / b.v[i];
  return a;
}
WEFT_INLINE Vec negative(Vec a) {
  WEFT_LANES a.v[i] = -a.v[i];
  return a;
}
/// a > b ? a : b, so b when either is NaN.
WEFT_INLINE Vec max(Vec a, Vec b) {
  WEFT_LANES a.v[i] = a.v[i] > b.v[i] ? a.v[i] : b.v[i];
  return a;
}
/// a < b ? a : b, so b when either is NaN.
WEFT_INLINE Vec min(Vec a, Vec b) {
  WEFT_LANES a.v[i] = a.v[i] < b.v[i] ? a.v[i] : b.v[i];
  return a;
}

/// Lanes [0, n), 0 <= n <= 16.
WEFT_INLINE Mask first_lanes(int n) {
  Mask r;
  WEFT_LANES r.m[i] = i < n;
  return r;
}
/// Lanes where a > b: none where either is NaN.
WEFT_INLINE Mask greater(Vec a, Vec b) {
  Mask r;
  WEFT_LANES r.m[i] = a.v[i] > b.v[i];
  return r;
}
/// a's lanes in the mask, b's elsewhere.
WEFT_INLINE Vec select(Mask m, Vec a, Vec b) {
  WEFT_LANES a.v[i] = m.m[i] ? a.v[i] : b.v[i];
  return a;
}

WEFT_INLINE Vec load(const float* from) {
  Vec r;
  WEFT_LANES r.v[i] = from[i];
  return r;
}
WEFT_INLINE void store(float* to, Vec a) { WEFT_LANES to[i] = a.v[i]; }
/// Lanes from n on are +0, and their memory is not touched.
WEFT_INLINE Vec load_part(const float* from, int n) {
  Vec r = {};
  for (int i = 0; i < n; ++i) r.v[i] = from[i];
  return r;
}
WEFT_INLINE void store_part(float* to, Vec a, int n) {
  for (int i = 0; i < n; ++i) to[i] = a.v[i];
}

// bf16: an exact shift on the way in, integer round-to-nearest-even on the way out.
WEFT_INLINE float float_of(std::uint32_t bits) {
  float value;
  std::memcpy(&value, &bits, sizeof value);
  return value;
}
WEFT_INLINE std::uint32_t bits_of(float value) {
  std::uint32_t bits;
  std::memcpy(&bits, &value, sizeof bits);
  return bits;
}
WEFT_INLINE std::uint16_t narrow(float value) {
  const std::uint32_t bits = bits_of(value);
  const std::uint32_t rounded = (bits + 0x7fffU + ((bits >> 16) & 1U)) >> 16;
  const std::uint32_t quiet = (bits >> 16) | 0x40U;
  return static_cast<std::uint16_t>((bits & 0x7fffffffU) > 0x7f800000U ? quiet : rounded);
}
WEFT_INLINE Vec load_part(const std::uint16_t* from, int n) {
  Vec r = {};
  for (int i = 0; i < n; ++i) r.v[i] = float_of(static_cast<std::uint32_t>(from[i]) << 16);
  return r;
}
WEFT_INLINE Vec load(const std::uint16_t* from) {
  Vec r;
  WEFT_LANES r.v[i] = float_of(static_cast<std::uint32_t>(from[i]) << 16);
  return r;
}
WEFT_INLINE void store(std::uint16_t* to, Vec a) { WEFT_LANES to[i] = narrow(a.v[i]); }
WEFT_INLINE void store_part(std::uint16_t* to, Vec a, int n) {
  for (int i = 0; i < n; ++i) to[i] = narrow(a.v[i]);
}

/// value * 2^n in two exact-power steps, n = the integer in the low bits of `shifted`, whose lanes
/// are `rounder` + n.
WEFT_INLINE Vec scale_by_power(Vec value, Vec shifted, Vec rounder) {
  WEFT_LANES {
    const std::uint32_t n = bits_of(shifted.v[i]) - bits_of(rounder.v[i]);
    const auto half = static_cast<std::uint32_t>(static_cast<std::int32_t>(n) >> 1);
    value.v[i] = value.v[i] * float_of((half + 127U) << 23) * float_of((n - half + 127U) << 23);
  }
  return value;
}

/// Sum of the lanes by halving: lane j += lane j+8, then +4, +2, +1.
WEFT_INLINE float sum_by_halving(Vec a) {
  for (int half = 8; half > 0; half /= 2) {
    for (int i = 0; i < half; ++i) a.v[i] = a.v[i] + a.v[i + half];
  }
  return a.v[0];
}

/// The first lane that equals `value`; 16 if none does.
WEFT_INLINE int first_equal(Vec a, float value) {
  int lane = 0;
  while (lane < 16 && a.v[lane] != value) ++lane;
  return lane;
}

/// The largest lane (no NaN among them).
WEFT_INLINE float largest_lane(Vec a) {
  for (int half = 8; half > 0; half /= 2) {
    for (int i = 0; i < half; ++i) a.v[i] = a.v[i] > a.v[i + half] ? a.v[i] : a.v[i + half];
  }
  return a.v[0];
}

/// 16 bytes of integers: one lane of them.
struct Bits {
  std::byte v[16];
};
constexpr int kBitLanes = 1;
WEFT_INLINE Bits load_lanes(const std::byte* from, std::int64_t /*stride*/) {
  Bits r;
  std::memcpy(r.v, from, sizeof(r.v));
  return r;
}
/// Alternating: half of a's elements and of b's, from element `begin` on.
template <class T>
WEFT_INLINE Bits zip(Bits a, Bits b, int begin) {
  constexpr int half = 8 / sizeof(T);
  T x[2 * half];
  T y[2 * half];
  T r[2 * half];
  std::memcpy(x, a.v, sizeof(x));
  std::memcpy(y, b.v, sizeof(y));
  for (int i = 0; i < half; ++i) {
    r[2 * i] = x[begin + i];
    r[2 * i + 1] = y[begin + i];
  }
  std::memcpy(a.v, r, sizeof(r));
  return a;
}
WEFT_INLINE Bits zip_low(Bits a, Bits b, std::uint16_t /*element*/) {
  return zip<std::uint16_t>(a, b, 0);
}
WEFT_INLINE Bits zip_high(Bits a, Bits b, std::uint16_t /*element*/) {
  return zip<std::uint16_t>(a, b, 4);
}
WEFT_INLINE Bits zip_low(Bits a, Bits b, float /*element*/) { return zip<std::uint32_t>(a, b, 0); }
WEFT_INLINE Bits zip_high(Bits a, Bits b, float /*element*/) { return zip<std::uint32_t>(a, b, 2); }
WEFT_INLINE void store(std::byte* to, Bits a) { std::memcpy(to, a.v, sizeof(a.v)); }

}  // namespace
}  // namespace weft
