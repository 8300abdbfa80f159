// What all kernels share: loops over lanes, the register tile that every product is made of, and
// the exponential.
#include "base/elementary.h"
#include "ops/denormals.h"

namespace weft {
namespace {

#define WEFT_UNROLL _Pragma("GCC unroll 16")

template <int N>
struct Int {
  static constexpr int value = N;
};

/// Calls f(Int<n>) for a run-time 1 <= n <= N.
template <int N, class F>
WEFT_INLINE void with_constant(std::int64_t n, F f) {
  if constexpr (N == 1) {
    f(Int<1>{});
  } else {
    if (n == N) {
      f(Int<N>{});
    } else {
      with_constant<N - 1>(n, f);
    }
  }
}

WEFT_INLINE std::int64_t min_of(std::int64_t a, std::int64_t b) { return a < b ? a : b; }
WEFT_INLINE std::int64_t max_of(std::int64_t a, std::int64_t b) { return a > b ? a : b; }
WEFT_INLINE std::int64_t ceil_of(std::int64_t a, std::int64_t b) { return (a + b - 1) / b; }

/// Work is cut into even parts everywhere: part b of n begins at floor(b*count/n).
WEFT_INLINE std::int64_t part_begin(std::int64_t part, std::int64_t parts, std::int64_t count) {
  return part * count / parts;
}

/// f(column, lanes) for each group of 16 columns; lanes < 16 in the last one.
template <class F>
WEFT_INLINE void by_lanes(std::int64_t columns, F f) {
  std::int64_t c = 0;
  for (; c + 16 <= columns; c += 16) f(c, Int<16>{});
  if (c < columns) f(c, static_cast<int>(columns - c));
}

WEFT_INLINE constexpr int lanes_of(Int<16> /*all*/) { return 16; }
WEFT_INLINE constexpr int lanes_of(int n) { return n; }

template <class T>
WEFT_INLINE Vec get(const T* from, Int<16> /*all*/) {
  return load(from);
}
template <class T>
WEFT_INLINE Vec get(const T* from, int n) {
  return load_part(from, n);
}
template <class T>
WEFT_INLINE void put(T* to, Vec a, Int<16> /*all*/) {
  store(to, a);
}
template <class T>
WEFT_INLINE void put(T* to, Vec a, int n) {
  store_part(to, a, n);
}

/// Does nothing.
struct Nothing {
  WEFT_INLINE void operator()() const {}
};

/// Sums of R rows and V vectors of 16 columns.
template <int R, int V>
struct Tile {
  Vec at[R][V];

  WEFT_INLINE void clear() {
    WEFT_UNROLL for (int r = 0; r < R; ++r) {
      WEFT_UNROLL for (int v = 0; v < V; ++v) at[r][v] = zero();
    }
  }
  WEFT_INLINE void load_from(const float* from, std::int64_t stride) {
    WEFT_UNROLL for (int r = 0; r < R; ++r) {
      WEFT_UNROLL for (int v = 0; v < V; ++v) at[r][v] = load(from + r * stride + v * 16);
    }
  }
  WEFT_INLINE void store_to(float* to, std::int64_t stride) const {
    WEFT_UNROLL for (int r = 0; r < R; ++r) {
      WEFT_UNROLL for (int v = 0; v < V; ++v) store(to + r * stride + v * 16, at[r][v]);
    }
  }
  /// As `store_to`, but only the first `columns` columns.
  WEFT_INLINE void store_to(float* to, std::int64_t stride, std::int64_t columns) const {
    if (columns >= V * 16) return store_to(to, stride);
    WEFT_UNROLL for (int r = 0; r < R; ++r) {
      WEFT_UNROLL for (int v = 0; v < V; ++v) {
        const auto n = static_cast<int>(max_of(0, min_of(16, columns - v * 16)));
        if (n > 0) store_part(to + r * stride + v * 16, at[r][v], n);
      }
    }
  }

  /// at[r][v] = fma(x[k*XK + r*XR], w_k[v], at[r][v]) for ascending k < count; `next(v)` gives
  /// w_k[v] and is called V times for each k, in order.
  template <int XK, int XR, class Next>
  WEFT_INLINE void multiply_each(const float* x, std::int64_t count, Next next) {
    for (; count > 0; --count) {
      Vec b[V];
      WEFT_UNROLL for (int v = 0; v < V; ++v) b[v] = next(v);
      WEFT_UNROLL for (int r = 0; r < R; ++r) {
        const Vec a = splat(x[r * XR]);
        WEFT_UNROLL for (int v = 0; v < V; ++v) at[r][v] = fma(a, b[v], at[r][v]);
      }
      x += XK;
    }
  }

  /// The same with w_k[v] = w[k*wk + v*wv + lane].
  template <int XK, int XR, class W>
  WEFT_INLINE void multiply(const float* x, const W* w, std::int64_t wk, std::int64_t wv,
                            std::int64_t count) {
    multiply_each<XK, XR>(x, count, [&](int v) {
      const Vec b = load(w + v * wv);
      if (v == V - 1) w += wk;
      return b;
    });
  }

  /// The same for vectors of columns that lie anywhere: w[v] + k*16. `meanwhile` is called once per
  /// k: a place to ask for memory that is needed later.
  template <int XK, class W, class Meanwhile = Nothing>
  WEFT_INLINE void multiply_groups(const float* x, const W* const* w, std::int64_t count,
                                   Meanwhile meanwhile = {}) {
    const W* from[V];
    WEFT_UNROLL for (int v = 0; v < V; ++v) from[v] = w[v];
    for (std::int64_t k = 0; k < count; ++k) {
      meanwhile();
      Vec b[V];
      WEFT_UNROLL for (int v = 0; v < V; ++v) b[v] = load(from[v] + k * 16);
      WEFT_UNROLL for (int r = 0; r < R; ++r) {
        const Vec a = splat(x[r]);
        WEFT_UNROLL for (int v = 0; v < V; ++v) at[r][v] = fma(a, b[v], at[r][v]);
      }
      x += XK;
    }
  }
};

/// e^x; the operations of exp_f32 lane by lane.
WEFT_INLINE Vec exp_of(Vec x) {
  using namespace exp_terms;
  x = min(splat(highest), x);
  x = max(splat(lowest), x);
  const Vec shifted = fma(x, splat(log2_e), splat(rounder));
  const Vec n = shifted - splat(rounder);
  Vec r = fma(n, splat(-ln2_high), x);
  r = fma(n, splat(-ln2_low), r);
  Vec series = fma(splat(c4), r, splat(c3));
  series = fma(series, r, splat(c2));
  series = fma(series, r, splat(c1));
  series = fma(series, r, splat(c0));
  const Vec value = splat(1.0F) + fma(r * r, series, r);
  return scale_by_power(value, shifted, splat(rounder));
}

}  // namespace
}  // namespace weft
