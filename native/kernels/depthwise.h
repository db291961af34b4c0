// Convolutions of every channel on its own, forward and to the input: one kernel; and gradients of their weights.
//
// Vectors run along channels. The kernel keeps P output pixels of a row in registers; for each row of taps it loads
// the K weights and each input pixel once, and adds its products to all outputs that the pixel meets.
#pragma once
#include "conv.h"

namespace evolayer {
namespace {

/** Taps as [rows][columns][channels] of weights. */
struct Taps {
  int rows, columns;
};

/** y = Σ x·w (+ r) over the pixels of an image; x points at the first tap of the first output, and has its stride as rows and columns. */
struct Depthwise {
  Taps taps;
  int height, width, channels;
  Grid<const float> x;
  /** Between rows of taps, and between their columns, in x. */
  int64_t tapRow, tapColumn;
  Grid<float> y;
  const float* weights;
  bool adds;
};

/** Calls f(Index<P>()) for tiles of P = 8, 7, 4, 2 or 1 pixels, at most kMost of them, that make up `width`: 8 accumulators hide the latency of multiply-adds, and 7 divides the widths of small images. */
template <int kMost, class F>
EVOLAYER_INLINE void forTiles(int width, F&& f) {
  if constexpr (kMost >= 8) {
    if (width % 7 == 0)
      for (; width > 0; width -= 7) f(Index<7>());
    for (; width >= 8; width -= 8) f(Index<8>());
  }
  for (; width >= 4; width -= 4) f(Index<4>());
  if (width & 2) f(Index<2>());
  if (width & 1) f(Index<1>());
}

/** Part of the taps' columns that are in registers together. */
EVOLAYER_INLINE int columnsAtOnce(int columns) {
  if (columns == 0) return 1;
  if (columns % 5 == 0) return 5;
  if (columns % 3 == 0) return 3;
  return columns % 2 == 0 ? 2 : 1;
}

/** f(k, p) for each of P outputs p that input pixel C of their row meets, at tap k of K. */
template <int K, int S, int P, int C, class F>
EVOLAYER_INLINE void forMeetings(Index<C>, F&& f) {
  repeat<K>([&](auto k) EVOLAYER_LAMBDA {
    constexpr int distance = C - decltype(k){};
    if constexpr (distance >= 0 && distance % S == 0 && distance / S < P) f(k, Index<distance / S>());
  });
}

/** P outputs of a row, S input pixels apart. */
template <int L, int K, int S, int P>
EVOLAYER_INLINE void depthwiseTile(const Depthwise& job, const float* x, const float* w, float* y, int n) {
  Float<L> sums[P];
  repeat<P>([&](auto p) EVOLAYER_LAMBDA { sums[p] = splat<L>(0); });
  const int64_t column = job.tapColumn, channels = job.channels;
  for (int a = 0; a < job.taps.rows; a++, x += job.tapRow) {
    const float* first = x;
    for (int b = 0; b < job.taps.columns; b += K, first += K * column) {
      Float<L> weights[K];
      repeat<K>([&](auto k) EVOLAYER_LAMBDA {
        weights[k] = load<L>(w);
        w += channels;
      });
      const float* pixel = first;
      repeat<(P - 1) * S + K>([&](auto c) EVOLAYER_LAMBDA {
        const Float<L> input = load<L>(pixel);
        pixel += column;
        keep(pixel);
        forMeetings<K, S, P>(c, [&](auto k, auto p) EVOLAYER_LAMBDA { sums[p] += input * weights[k]; });
      });
    }
  }
  // Now x is at what the next row of outputs reads first: in a wide tensor too far apart for the hardware to foresee.
  repeat<S * P * S>([&](auto c) EVOLAYER_LAMBDA {
    __builtin_prefetch(x + c / (P * S) * job.tapRow + c % (P * S) * column);
  });
  repeat<P>([&](auto p) EVOLAYER_LAMBDA {
    float* to = y + p * job.y.column;
    if (job.adds) sums[p] += load<L>(to);
    storeUpTo<L>(to, sums[p], n);
  });
}

/** A row of output. */
template <int L, int K, int S>
__attribute__((noinline)) void depthwiseRow(const Depthwise& job, const float* x, const float* w, float* y, int n) {
  forTiles<8>(job.width, [&](auto pixels) EVOLAYER_LAMBDA {
    depthwiseTile<L, K, S, pixels>(job, x, w, y, n);
    x += pixels * S * job.tapColumn;
    y += pixels * job.y.column;
  });
}

template <int K, int S>
void depthwiseImage(const Depthwise& job, int image) {
  for (int row = 0; row < job.height; row++) {
    const float* x = job.x.at(image, row, 0);
    float* y = job.y.at(image, row, 0);
    int channel = 0;
    for (; job.channels - channel > kHalf; channel += kLanes) {
      const int n = least(kLanes, job.channels - channel);
      depthwiseRow<kLanes, K, S>(job, x + channel, job.weights + channel, y + channel, n);
    }
    if (channel < job.channels)
      depthwiseRow<kHalf, K, S>(job, x + channel, job.weights + channel, y + channel, job.channels - channel);
  }
}

using DepthwiseImage = void (*)(const Depthwise&, int);

template <int S>
EVOLAYER_INLINE DepthwiseImage depthwiseFor(int columns) {
  switch (columnsAtOnce(columns)) {
    case 5: return depthwiseImage<5, S>;
    case 3: return depthwiseImage<3, S>;
    case 2:
      // Kernels are odd: an even number of columns is one parity's share.
      if constexpr (S == 1) return depthwiseImage<2, S>;
      [[fallthrough]];
    default: return depthwiseImage<1, S>;
  }
}

inline void depthwise(const Tensor& x, const float* weights, const Tensor& y, Kernel kernel, float* arena, int images) {
  Depthwise job;
  job.taps = {kernel.size, kernel.size};
  job.height = y.height;
  job.width = y.width;
  job.channels = y.channels;
  job.x = readOnly(gridOf(arena, x));
  job.tapRow = job.x.row;
  job.tapColumn = job.x.column;
  job.x.base -= kernel.padding() * (job.x.row + job.x.column);
  job.x.row *= kernel.stride;
  job.y = gridOf(arena, y);
  job.weights = weights;
  job.adds = false;
  const DepthwiseImage run = kernel.stride == 1 ? depthwiseFor<1>(kernel.size) : depthwiseFor<2>(kernel.size);
  for (int i = 0; i < images; i++) run(job, i);
}

/** The taps of a parity, backwards. Returns where they end. */
inline float* packParity(const float* weights, Kernel kernel, const Parity& down, const Parity& across, int channels,
                         float* to) {
  for (int a = 0; a < down.taps; a++)
    for (int b = 0; b < across.taps; b++, to += channels) {
      const int tap = (down.last - a * kernel.stride) * kernel.size + across.last - b * kernel.stride;
      std::memcpy(to, weights + int64_t(tap) * channels, sizeof(float) * channels);
    }
  return to;
}

/** Each parity of input pixels meets taps of its own: a small convolution with stride 1 over dy. */
inline void depthwiseInputGradient(const Tensor& dy, const float* weights, const Tensor& dx, Kernel kernel, bool adds,
                                   float* arena, float* scratch, int images) {
  Depthwise jobs[4];
  DepthwiseImage runs[4];
  int count = 0;
  for (int a = 0; a < least(kernel.stride, dx.height); a++)
    for (int b = 0; b < least(kernel.stride, dx.width); b++, count++) {
      const Parity down(kernel, a), across(kernel, b);
      Depthwise& job = jobs[count];
      job.taps = {down.taps, across.taps};
      job.height = ceilDiv(dx.height - a, kernel.stride);
      job.width = ceilDiv(dx.width - b, kernel.stride);
      job.channels = dx.channels;
      job.x = readOnly(gridOf(arena, dy));
      job.tapRow = job.x.row;
      job.tapColumn = job.x.column;
      job.x.base += down.shift * job.x.row + across.shift * job.x.column;
      job.y = gridOf(arena, dx);
      job.y.base += a * job.y.row + b * job.y.column;
      job.y.row *= kernel.stride;
      job.y.column *= kernel.stride;
      job.weights = scratch;
      job.adds = adds;
      scratch = packParity(weights, kernel, down, across, dx.channels, scratch);
      runs[count] = depthwiseFor<1>(across.taps);
    }
  // All parities of an image while its dy is in cache.
  for (int i = 0; i < images; i++)
    for (int j = 0; j < count; j++) runs[j](jobs[j], i);
}

/** dw = Σ over pixels of x·dy, per tap; x as in `Depthwise`. */
struct DepthwiseWeights {
  Taps taps;
  int channels;
  Grid<const float> x, dy;
  int64_t tapRow, tapColumn;
  float* dw;
};

/** Whole images or rows of one, and whether they are the first of all. */
struct Patch {
  int image, images, row, rows, columns;
  bool fresh;
};

/** Rows of taps whose sums are in registers together: a divisor of all rows, since kernels are square. */
template <int K>
constexpr int kTapRows = kRegisters == 32 || K < 5 ? K : 1;

/** Adds the products of P pixels of dy to the sums of G × K taps. */
template <int L, int K, int S, int G, int P>
EVOLAYER_INLINE void addProducts(const DepthwiseWeights& job, const float* x, const float* dy, Float<L> (&sums)[G][K]) {
  Float<L> gradients[P];
  repeat<P>([&](auto p) EVOLAYER_LAMBDA { gradients[p] = load<L>(dy + p * job.dy.column); });
  // What the next row reads first: in a wide tensor too far apart for the hardware to foresee.
  repeat<P>([&](auto p) EVOLAYER_LAMBDA { __builtin_prefetch(dy + job.dy.row + p * job.dy.column); });
  repeat<S * P * S>([&](auto c) EVOLAYER_LAMBDA {
    __builtin_prefetch(x + (G + c / (P * S)) * job.tapRow + c % (P * S) * job.tapColumn);
  });
  repeat<G>([&](auto g) EVOLAYER_LAMBDA {
    const float* pixel = x + g * job.tapRow;
    repeat<(P - 1) * S + K>([&](auto c) EVOLAYER_LAMBDA {
      const Float<L> input = load<L>(pixel);
      pixel += job.tapColumn;
      keep(pixel);
      forMeetings<K, S, P>(c, [&](auto k, auto p) EVOLAYER_LAMBDA { sums[g][k] += input * gradients[p]; });
    });
  });
}

/** The sums of taps from (a, b) on over a patch, for up to L channels. */
template <int L, int K, int S>
__attribute__((noinline)) void depthwiseTaps(const DepthwiseWeights& job, const Patch& patch, int a, int b, int channel,
                                             int n) {
  constexpr int G = kTapRows<K>;
  Float<L> sums[G][K];
  repeat<G>([&](auto g) EVOLAYER_LAMBDA { repeat<K>([&](auto k) EVOLAYER_LAMBDA { sums[g][k] = splat<L>(0); }); });
  for (int j = 0; j < patch.images * patch.rows; j++) {
    const int i = patch.image + j / patch.rows, r = patch.row + j % patch.rows;
    const float* x = job.x.at(i, r, 0) + a * job.tapRow + b * job.tapColumn + channel;
    const float* dy = job.dy.at(i, r, 0) + channel;
    const auto add = [&](auto pixels) EVOLAYER_LAMBDA {
      addProducts<L, K, S, G, pixels>(job, x, dy, sums);
      x += pixels * S * job.tapColumn;
      dy += pixels * job.dy.column;
    };
    // As many as leave registers to the sums.
    forTiles<kRegisters == 32 && K < 5 ? 8 : 4>(patch.columns, add);
  }
  repeat<G>([&](auto g) EVOLAYER_LAMBDA {
    repeat<K>([&](auto k) EVOLAYER_LAMBDA {
      float* to = job.dw + (int64_t(a + g) * job.taps.columns + b + k) * job.channels + channel;
      if (!patch.fresh) sums[g][k] += load<L>(to);
      storeUpTo<L>(to, sums[g][k], n);
    });
  });
}

/** All taps for up to L channels. */
template <int L, int K, int S>
EVOLAYER_INLINE void depthwiseChannels(const DepthwiseWeights& job, const Patch& patch, int channel, int n) {
  for (int a = 0; a < job.taps.rows; a += kTapRows<K>)
    for (int b = 0; b < job.taps.columns; b += K) depthwiseTaps<L, K, S>(job, patch, a, b, channel, n);
}

template <int K, int S>
void depthwisePatch(const DepthwiseWeights& job, const Patch& patch) {
  int channel = 0;
  for (; job.channels - channel > kHalf; channel += kLanes)
    depthwiseChannels<kLanes, K, S>(job, patch, channel, least(kLanes, job.channels - channel));
  if (channel < job.channels) depthwiseChannels<kHalf, K, S>(job, patch, channel, job.channels - channel);
}

template <int S>
EVOLAYER_INLINE auto depthwisePatchFor(int columns) {
  if (columns % 5 == 0) return depthwisePatch<5, S>;
  return columns % 3 == 0 ? depthwisePatch<3, S> : depthwisePatch<1, S>;
}

/** Sums of a patch are added to the rest, so that rounding errors do not grow with the batch. */
inline void depthwiseWeightGradient(const Tensor& x, const Tensor& dy, float* dw, Kernel kernel, float* arena,
                                    int images) {
  DepthwiseWeights job;
  job.taps = {kernel.size, kernel.size};
  job.channels = x.channels;
  job.x = readOnly(gridOf(arena, x));
  job.tapRow = job.x.row;
  job.tapColumn = job.x.column;
  job.x.base -= kernel.padding() * (job.x.row + job.x.column);
  job.x.row *= kernel.stride;
  job.dy = readOnly(gridOf(arena, dy));
  job.dw = dw;
  // As much as the second-level cache holds; fewer pixels where they are small, for the sake of rounding.
  const int64_t floats = 4096 * least(16, x.channels);
  const int64_t row = job.x.row + job.dy.row, image = row * dy.height;
  const int rows = static_cast<int>(least<int64_t>(dy.height, most<int64_t>(1, floats / row)));
  const int together = static_cast<int>(rows < dy.height ? 1 : most<int64_t>(1, floats / image));
  const auto run = kernel.stride == 1 ? depthwisePatchFor<1>(kernel.size) : depthwisePatchFor<2>(kernel.size);
  for (int i = 0; i < images; i += together)
    for (int r = 0; r < dy.height; r += rows)
      run(job, {i, least(together, images - i), r, least(rows, dy.height - r), dy.width, i == 0 && r == 0});
}

}  // namespace
}  // namespace evolayer
