// Squeeze-excite: activations of its small vectors, and the factor per image and channel.
#pragma once
#include "math.h"
#include "network.h"

namespace evolayer {
namespace {

/** y = f(a, b) over whole tensors of one shape. */
template <class F>
EVOLAYER_INLINE void mapPair(const Tensor& a, const Tensor& b, const Tensor& y, float* arena, int images, F f) {
  const bool flat = a.halo == 0 && b.halo == 0 && y.halo == 0;
  mapTensors<kLanes>(y, gridOf(arena, y), readOnly(gridOf(arena, a)), readOnly(gridOf(arena, b)), images, flat, f);
}

inline void silu(const Tensor& x, const Tensor& y, float* arena, int images) {
  mapPair(x, x, y, arena, images, [](auto u, auto) EVOLAYER_LAMBDA { return u * sigmoidOf<kLanes>(u); });
}

/** silu' = σ + x·σ·(1 − σ) with σ = sigmoid(x). */
inline void siluGradient(const Tensor& x, const Tensor& dy, const Tensor& dx, float* arena, int images) {
  mapPair(x, dy, dx, arena, images, [](auto u, auto d) EVOLAYER_LAMBDA {
    const Float<kLanes> s = sigmoidOf<kLanes>(u);
    return d * (s + u * s * (1.0f - s));
  });
}

inline void sigmoid(const Tensor& x, const Tensor& y, float* arena, int images) {
  mapPair(x, x, y, arena, images, [](auto u, auto) EVOLAYER_LAMBDA { return sigmoidOf<kLanes>(u); });
}

inline void sigmoidGradient(const Tensor& y, const Tensor& dy, const Tensor& dx, float* arena, int images) {
  mapPair(y, dy, dx, arena, images, [](auto s, auto d) EVOLAYER_LAMBDA { return d * (s * (1.0f - s)); });
}

/** Calls f(lanes, vectors, first channel, number of channels) for blocks of up to four vectors of channels, which stay in registers while all pixels pass; half a vector where that is enough. */
template <class F>
EVOLAYER_INLINE void forBlocks(int channels, F&& f) {
  constexpr int kVectors = 4;
  int channel = 0;
  for (; channels - channel >= kVectors * kLanes; channel += kVectors * kLanes)
    f(Index<kLanes>(), Index<kVectors>(), channel, kVectors * kLanes);
  for (; channels - channel > kHalf; channel += kLanes)
    f(Index<kLanes>(), Index<1>(), channel, least(kLanes, channels - channel));
  if (channel < channels) f(Index<kHalf>(), Index<1>(), channel, channels - channel);
}

inline void scale(const Tensor& x, const Tensor& s, const Tensor& y, float* arena, int images) {
  const Grid<const float> from = readOnly(gridOf(arena, x)), factors = readOnly(gridOf(arena, s));
  const Grid<float> to = gridOf(arena, y);
  for (int i = 0; i < images; i++)
    forBlocks(y.channels, [&](auto lanes, auto vectors, int channel, int n) EVOLAYER_LAMBDA {
      constexpr int L = decltype(lanes){}, V = decltype(vectors){};
      Float<L> factor[V];
      repeat<V>([&](auto v) EVOLAYER_LAMBDA { factor[v] = load<L>(factors.at(i, 0, 0) + channel + v * L); });
      for (int r = 0; r < y.height; r++)
        for (int c = 0; c < y.width; c++) {
          const float* in = from.at(i, r, c) + channel;
          float* out = to.at(i, r, c) + channel;
          repeat<V>([&](auto v) EVOLAYER_LAMBDA { storeUpTo<L>(out + v * L, load<L>(in + v * L) * factor[v], n - v * L); });
        }
    });
}

inline void scaleFactorGradient(const Tensor& x, const Tensor& dy, const Tensor& ds, float* arena, int images) {
  const Grid<const float> values = readOnly(gridOf(arena, x)), gradients = readOnly(gridOf(arena, dy));
  const Grid<float> to = gridOf(arena, ds);
  for (int i = 0; i < images; i++)
    forBlocks(x.channels, [&](auto lanes, auto vectors, int channel, int n) EVOLAYER_LAMBDA {
      constexpr int L = decltype(lanes){}, V = decltype(vectors){};
      Float<L> total[V];
      repeat<V>([&](auto v) EVOLAYER_LAMBDA { total[v] = splat<L>(0); });
      for (int r = 0; r < x.height; r++) {
        // Sums of rows, so that rounding errors do not grow with the image.
        Float<L> sums[V];
        repeat<V>([&](auto v) EVOLAYER_LAMBDA { sums[v] = splat<L>(0); });
        for (int c = 0; c < x.width; c++) {
          const float* a = values.at(i, r, c) + channel;
          const float* b = gradients.at(i, r, c) + channel;
          repeat<V>([&](auto v) EVOLAYER_LAMBDA { sums[v] += load<L>(a + v * L) * load<L>(b + v * L); });
        }
        repeat<V>([&](auto v) EVOLAYER_LAMBDA { total[v] += sums[v]; });
      }
      repeat<V>([&](auto v) EVOLAYER_LAMBDA { storeUpTo<L>(to.at(i, 0, 0) + channel + v * L, total[v], n - v * L); });
    });
}

inline void scaleInputGradient(const Tensor& dy, const Tensor& s, const Tensor& pooled, const Tensor& dx, bool adds,
                               float* arena, int images) {
  const Grid<const float> from = readOnly(gridOf(arena, dy)), factors = readOnly(gridOf(arena, s));
  const Grid<const float> means = readOnly(gridOf(arena, pooled));
  const Grid<float> to = gridOf(arena, dx);
  const float share = 1.0f / (dx.height * dx.width);
  for (int i = 0; i < images; i++)
    forBlocks(dx.channels, [&](auto lanes, auto vectors, int channel, int n) EVOLAYER_LAMBDA {
      constexpr int L = decltype(lanes){}, V = decltype(vectors){};
      Float<L> factor[V], term[V];
      repeat<V>([&](auto v) EVOLAYER_LAMBDA {
        factor[v] = load<L>(factors.at(i, 0, 0) + channel + v * L);
        term[v] = load<L>(means.at(i, 0, 0) + channel + v * L) * share;
      });
      for (int r = 0; r < dx.height; r++)
        for (int c = 0; c < dx.width; c++) {
          const float* in = from.at(i, r, c) + channel;
          float* out = to.at(i, r, c) + channel;
          repeat<V>([&](auto v) EVOLAYER_LAMBDA {
            Float<L> gradient = load<L>(in + v * L) * factor[v] + term[v];
            if (adds) gradient += load<L>(out + v * L);
            storeUpTo<L>(out + v * L, gradient, n - v * L);
          });
        }
    });
}

}  // namespace
}  // namespace evolayer
