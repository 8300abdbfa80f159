// Elementary functions whose bits are ours: made of IEEE additions, multiplications, divisions and
// bit operations only, so that every processor and C library gives the same results.
#pragma once

namespace weft {

/// Constants of the f32 exponential, shared by the scalar form below and the vector form of the CPU
/// operators: both do the same operations in the same order.
namespace exp_terms {
/// Arguments are clamped to [lowest, highest]; beyond, the result is +0 or infinity anyway.
constexpr float lowest = -104.0F;
constexpr float highest = 89.0F;
constexpr float log2_e = 0x1.715476p+0F;
/// Adding it rounds a float of small magnitude to an integer (to nearest, ties to even), which then
/// stands in the low bits of the sum.
constexpr float rounder = 0x1.8p+23F;
/// ln 2 in two parts.
constexpr float ln2_high = 0x1.62e430p-1F;
constexpr float ln2_low = -0x1.05c610p-29F;
/// exp(r) = 1 + r + r^2 * (c0 + c1 r + c2 r^2 + c3 r^3 + c4 r^4) for |r| <= ln(2)/2, from a Remez
/// exchange of our own weighted by r^2; relative error 3e-9.
constexpr float c0 = 0x1.000000p-1F;
constexpr float c1 = 0x1.55548ep-3F;
constexpr float c2 = 0x1.55545ep-5F;
constexpr float c3 = 0x1.123b84p-7F;
constexpr float c4 = 0x1.6db464p-10F;
}  // namespace exp_terms

/// e^x in f32, at most 1.1 ulp off. exp(0) = 1 exactly, results below the smallest normal number
/// are denormal, overflow gives infinity, NaN stays NaN. Fused multiply-adds throughout. Method:
/// Cody and Waite, "Software Manual for the Elementary Functions" (1980), chapter 6: x = n ln 2 +
/// r, a polynomial in r, then scaling by 2^n in two exact steps.
float exp_f32(float x);

/// e^x, within 2 ulp. Same method as `exp_f32`, with the Taylor series in r.
double exp_d(double x);

/// Natural logarithm, within 2 ulp; -infinity at 0, NaN below. Method: x = 2^e (1+f) with 1+f in
/// [sqrt(1/2), sqrt(2)), and log(1+f) = 2 artanh(f / (2+f)) by its series.
double log_d(double x);

/// Sine and cosine of an angle in radians, within 2 ulp for |x| <= 1e7. Beyond, accuracy
/// fades; from 2^50 on, and for infinities, the result is NaN. Method: Cody and Waite, chapter 8,
/// with pi/2 in three parts and a remainder of two words; Taylor series on [-pi/4, pi/4].
double sin_d(double x);
double cos_d(double x);

/// x^y for x >= 0, about 1e-15 off relatively; NaN for x < 0. x^0 = 1. Method: exp(y log x) with
/// the logarithm in two words (Dekker, "A floating-point technique for extending the available
/// precision", 1971).
double pow_d(double x, double y);

}  // namespace weft
