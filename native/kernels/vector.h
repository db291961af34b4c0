// Vectors of 4, 8 or 16 floats, over the vector types of GCC and Clang; a few operations that these lack.
// Everything has internal linkage, for each variant is compiled with flags of its own.
#pragma once
#include <cstdint>
#include <cstring>
#if defined(__x86_64__)
#include <immintrin.h>
#elif defined(__aarch64__)
#include <arm_neon.h>
#endif

#define EVOLAYER_INLINE __attribute__((always_inline)) inline
/** Stands behind the parameters of a lambda: arrays of vectors that it refers to can then stay in registers. */
#define EVOLAYER_LAMBDA __attribute__((always_inline))

namespace evolayer {
namespace {

/** Lanes of the widest vectors of this variant. */
constexpr int kLanes = EVOLAYER_LANES;

#if defined(__AVX512F__) || defined(__aarch64__)
constexpr int kRegisters = 32;
#else
constexpr int kRegisters = 16;
#endif

template <int L>
struct Lanes;

#define EVOLAYER_LANES_OF(L)                                                        \
  template <>                                                                       \
  struct Lanes<L> {                                                                 \
    typedef float Float __attribute__((vector_size(L * 4)));                        \
    typedef float Loose __attribute__((vector_size(L * 4), aligned(4), may_alias)); \
    typedef int32_t Int __attribute__((vector_size(L * 4)));                        \
    typedef uint32_t Bits __attribute__((vector_size(L * 4)));                      \
  }
EVOLAYER_LANES_OF(4);
#if EVOLAYER_LANES >= 8
EVOLAYER_LANES_OF(8);
#endif
#if EVOLAYER_LANES >= 16
EVOLAYER_LANES_OF(16);
#endif
#undef EVOLAYER_LANES_OF

template <int L>
using Float = typename Lanes<L>::Float;
template <int L>
using Int = typename Lanes<L>::Int;
template <int L>
using Bits = typename Lanes<L>::Bits;

/** Any address that is aligned for a float. */
template <int L>
EVOLAYER_INLINE Float<L> load(const float* p) {
  return *reinterpret_cast<const typename Lanes<L>::Loose*>(p);
}

template <int L>
EVOLAYER_INLINE void store(float* p, Float<L> v) {
  *reinterpret_cast<typename Lanes<L>::Loose*>(p) = v;
}

template <int L>
EVOLAYER_INLINE Float<L> splat(float x) {
  // Subtracting 0 changes nothing, not even −0, and so costs nothing.
  return x - Float<L>{};
}

template <int L>
EVOLAYER_INLINE Int<L> iota() {
  Int<L> v;
  for (int i = 0; i < L; i++) v[i] = i;
  return v;
}

/** v in the first n lanes, 0 in the others. */
template <int L>
EVOLAYER_INLINE Float<L> firstLanes(Float<L> v, int n) {
  return iota<L>() < n ? v : splat<L>(0);
}

template <int L>
EVOLAYER_INLINE Bits<L> bitsOf(Float<L> v) {
  return reinterpret_cast<Bits<L>>(v);
}
template <int L>
EVOLAYER_INLINE Float<L> floatOf(Bits<L> v) {
  return reinterpret_cast<Float<L>>(v);
}

/** Stores the first n lanes, 0 < n < L. */
template <int L>
EVOLAYER_INLINE void storeFirst(float* p, Float<L> v, int n) {
  float lanes[L];
  store<L>(lanes, v);
  for (int i = 0; i < n; i++) p[i] = lanes[i];
}

/** a < b ? a : b, and so b where either is NaN. */
template <int L>
EVOLAYER_INLINE Float<L> lesser(Float<L> a, Float<L> b) {
  return a < b ? a : b;
}
/** a > b ? a : b, and so b where either is NaN. */
template <int L>
EVOLAYER_INLINE Float<L> greater(Float<L> a, Float<L> b) {
  return a > b ? a : b;
}
template <int L>
EVOLAYER_INLINE Float<L> root(Float<L> v) {
  for (int i = 0; i < L; i++) v[i] = __builtin_sqrtf(v[i]);
  return v;
}

#if defined(__x86_64__)
#define EVOLAYER_X86(L, prefix)                                                                          \
  template <>                                                                                            \
  EVOLAYER_INLINE Float<L> lesser<L>(Float<L> a, Float<L> b) {                                           \
    return prefix##_min_ps(a, b);                                                                        \
  }                                                                                                      \
  template <>                                                                                            \
  EVOLAYER_INLINE Float<L> greater<L>(Float<L> a, Float<L> b) {                                          \
    return prefix##_max_ps(a, b);                                                                        \
  }                                                                                                      \
  template <>                                                                                            \
  EVOLAYER_INLINE Float<L> root<L>(Float<L> v) {                                                         \
    return prefix##_sqrt_ps(v);                                                                          \
  }
EVOLAYER_X86(4, _mm)
#if EVOLAYER_LANES >= 8
EVOLAYER_X86(8, _mm256)
#endif
#if EVOLAYER_LANES >= 16
EVOLAYER_X86(16, _mm512)
#endif
#undef EVOLAYER_X86
#endif

#if defined(EVOLAYER_SANITIZE)
// AddressSanitizer looks at no masked stores, but at those of the template.
#elif defined(__AVX512VL__)
template <>
EVOLAYER_INLINE void storeFirst<16>(float* p, Float<16> v, int n) {
  _mm512_mask_storeu_ps(p, static_cast<__mmask16>((1u << n) - 1), v);
}
template <>
EVOLAYER_INLINE void storeFirst<8>(float* p, Float<8> v, int n) {
  _mm256_mask_storeu_ps(p, static_cast<__mmask8>((1u << n) - 1), v);
}
template <>
EVOLAYER_INLINE void storeFirst<4>(float* p, Float<4> v, int n) {
  _mm_mask_storeu_ps(p, static_cast<__mmask8>((1u << n) - 1), v);
}
#elif defined(__AVX__)
template <>
EVOLAYER_INLINE void storeFirst<8>(float* p, Float<8> v, int n) {
  _mm256_maskstore_ps(p, reinterpret_cast<__m256i>(iota<8>() < n), v);
}
template <>
EVOLAYER_INLINE void storeFirst<4>(float* p, Float<4> v, int n) {
  _mm_maskstore_ps(p, reinterpret_cast<__m128i>(iota<4>() < n), v);
}
#endif

#if defined(__aarch64__)
template <>
EVOLAYER_INLINE Float<4> root<4>(Float<4> v) {
  return vsqrtq_f32(v);
}
#endif

/** Stores all lanes, or the first n. */
template <int L>
EVOLAYER_INLINE void storeUpTo(float* p, Float<L> v, int n) {
  if (n >= L)
    store<L>(p, v);
  else if (n > 0)
    storeFirst<L>(p, v, n);
}

/** Rows to columns. */
EVOLAYER_INLINE void transpose4(Float<4> (&m)[4]) {
#if defined(__x86_64__)
  _MM_TRANSPOSE4_PS(m[0], m[1], m[2], m[3]);
#else
  for (int i = 0; i < 4; i++)
    for (int j = i + 1; j < 4; j++) {
      const float x = m[i][j];
      m[i][j] = m[j][i];
      m[j][i] = x;
    }
#endif
}

template <int I>
struct Index {
  constexpr operator int() const { return I; }
};

/** f(0), f(1) … f(N − 1), unrolled whatever the compiler thinks of it: arrays indexed so stay in registers. */
template <int N, int I = 0, class F>
EVOLAYER_INLINE void repeat(F&& f) {
  if constexpr (I < N) {
    f(Index<I>());
    repeat<N, I + 1>(f);
  }
}

template <class T>
EVOLAYER_INLINE constexpr T least(T a, T b) {
  return a < b ? a : b;
}
template <class T>
EVOLAYER_INLINE constexpr T most(T a, T b) {
  return a > b ? a : b;
}
EVOLAYER_INLINE constexpr int ceilDiv(int a, int b) { return (a + b - 1) / b; }

}  // namespace
}  // namespace evolayer
