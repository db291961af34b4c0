// Exponentials and logarithms of vectors in fp32, 2 or 3 ulp from exact; NaN stays NaN, overflow is infinite,
// underflow (below 2⁻¹²⁵) is 0. The polynomial of exp is minimax in relative error (a fit by reweighted least
// squares); the others are from Cephes (S. Moshier, netlib.org/cephes).
#pragma once
#include "../isa.h"
#include "vector.h"

namespace evolayer {
namespace {

constexpr float kLog2E = 1.44269504088896341f;
// ln 2 in two parts; the first has so few bits that its product with an exponent is exact.
constexpr float kLn2High = 0.693359375f;
constexpr float kLn2Low = -2.12194440e-4f;

/** x, or the nearer limit; NaN passes, for it is the second argument. */
template <int L>
EVOLAYER_INLINE Float<L> clamped(Float<L> x, float from, float to) {
  return lesser<L>(splat<L>(to), greater<L>(splat<L>(from), x));
}

/** e^x = 2^n · e^r with |r| ≤ ln 2 / 2, for x from −87.5 to 89. */
template <int L>
EVOLAYER_INLINE Float<L> expWithin(Float<L> x) {
  // Adding 1.5·2²³ rounds to an integer and leaves it in the low bits.
  const Float<L> magic = splat<L>(12582912.0f);
  const Float<L> shifted = x * kLog2E + magic;
  const Float<L> n = shifted - magic;
  const Float<L> r = (x - n * kLn2High) - n * kLn2Low;
  Float<L> p = r * 1.38436435e-3f + 8.37417143e-3f;
  p = p * r + 4.16680031e-2f;
  p = p * r + 1.66664311e-1f;
  p = p * r + 4.99999942e-1f;
  p = p * r + 1.00000003f;
  p = p * r + 1.0f;
  // 2^(n − 1) twice over, for 2^128 is no float.
  const Bits<L> power = (bitsOf<L>(shifted) << 23) + (126u << 23);
  return (p + p) * floatOf<L>(power);
}

template <int L>
EVOLAYER_INLINE Float<L> expOf(Float<L> x) {
  // Beyond these limits the result is infinite or 0 anyway.
  return expWithin<L>(clamped<L>(x, -87.5f, 89.0f));
}

template <int L>
EVOLAYER_INLINE Float<L> absOf(Float<L> x) {
  return floatOf<L>(bitsOf<L>(x) & 0x7fffffffu);
}

/** |x| with the sign of s. */
template <int L>
EVOLAYER_INLINE Float<L> withSign(Float<L> x, Float<L> s) {
  return floatOf<L>((bitsOf<L>(x) & 0x7fffffffu) | (bitsOf<L>(s) & 0x80000000u));
}

/** 1 / x for 1 ≤ x < 2¹²⁶, and NaN, within 1 ulp or so. */
template <int L>
EVOLAYER_INLINE Float<L> inverse(Float<L> x) {
  return 1.0f / x;
}
#if defined(__AVX512F__)
/** A guess of 14 bits, and one step of Newton's; a division takes three times as long. */
template <>
EVOLAYER_INLINE Float<16> inverse<16>(Float<16> x) {
  const Float<16> guess = _mm512_rcp14_ps(x);
  return guess + guess * (1.0f - x * guess);
}
#endif

template <int L>
EVOLAYER_INLINE Float<L> sigmoidOf(Float<L> x) {
  // e^87 is near the largest that `inverse` takes.
  return inverse<L>(1.0f + expWithin<L>(-clamped<L>(x, -87.0f, 87.0f)));
}

/** 1 − 2 / (e^2|x| + 1), which loses its relative accuracy near 0: there an odd polynomial. */
template <int L>
EVOLAYER_INLINE Float<L> tanhOf(Float<L> x) {
  const Float<L> a = absOf<L>(x);
  // From 9.02 on the result must be exactly 1: a large gradient times 1 − tanh² would tell.
  const Float<L> far = 1.0f - 2.0f * inverse<L>(expWithin<L>(lesser<L>(splat<L>(40.0f), a + a)) + 1.0f);
  const Float<L> z = x * x;
  Float<L> p = z * -5.70498872745e-3f + 2.06390887954e-2f;
  p = p * z - 5.37397155531e-2f;
  p = p * z + 1.33314422036e-1f;
  p = p * z - 3.33332819422e-1f;
  const Float<L> near = p * z * x + x;
  return a < splat<L>(0.625f) ? near : withSign<L>(far, x);
}

/** ln x for x > 0 that is no denormal; infinity and NaN stay. x = 2^e · m with √½ ≤ m < √2. */
template <int L>
EVOLAYER_INLINE Float<L> lnOf(Float<L> x) {
  const Bits<L> bits = bitsOf<L>(x);
  const Int<L> e = reinterpret_cast<Int<L>>(bits - 0x3f3504f3u) >> 23;
  const Float<L> m = floatOf<L>(bits - (reinterpret_cast<Bits<L>>(e) << 23)) - 1.0f;
  const Float<L> exponent = __builtin_convertvector(e, Float<L>);
  const Float<L> z = m * m;
  Float<L> p = m * 7.0376836292e-2f - 1.1514610310e-1f;
  p = p * m + 1.1676998740e-1f;
  p = p * m - 1.2420140846e-1f;
  p = p * m + 1.4249322787e-1f;
  p = p * m - 1.6668057665e-1f;
  p = p * m + 2.0000714765e-1f;
  p = p * m - 2.4999993993e-1f;
  p = p * m + 3.3333331174e-1f;
  const Float<L> y = p * m * z + exponent * kLn2Low - 0.5f * z;
  const Float<L> ln = (m + y) + exponent * kLn2High;
  return x <= splat<L>(3.4028235e38f) ? ln : x;
}

/** −1, 0 or 1; NaN stays NaN. */
template <int L>
EVOLAYER_INLINE Float<L> signOf(Float<L> x) {
  const Float<L> one = withSign<L>(splat<L>(1), x);
  return x != splat<L>(0) ? (x == x ? one : x) : splat<L>(0);
}

/** x, or ±ε with the sign of x (+ at 0) where |x| < ε. */
template <int L>
EVOLAYER_INLINE Float<L> guardOf(Float<L> x) {
  const Float<L> epsilon = splat<L>(kEpsilon);
  const Float<L> guarded = x < splat<L>(0) ? -epsilon : epsilon;
  return absOf<L>(x) < epsilon ? guarded : x;
}

}  // namespace
}  // namespace evolayer
