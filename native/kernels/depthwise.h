// Convolutions of every channel on its own, forward and to the input: y = Σ x·w over the taps where both meet.
//
// Vectors run along channels. Sums of a tile of outputs stay in registers; each input pixel is loaded once per tile,
// and its products go to all outputs that it meets. On small images many taps lie outside, so they are unrolled as
// a whole, with the products inside only; elsewhere rows outside are skipped, and columns where a row is one tile.
#pragma once
#include "conv.h"

namespace evolayer {
namespace {

/** Weights packed as [vectors of channels][taps][lanes], so that taps lie at constant distances. */
inline void packTaps(const float* weights, int taps, int channels, bool backwards, float* to) {
  for (int channel = 0; channel < channels; channel += kLanes)
    for (int t = 0; t < taps; t++, to += kLanes) {
      const float* from = weights + int64_t(backwards ? taps - 1 - t : t) * channels + channel;
      store<kLanes>(to, firstLanes<kLanes>(load<kLanes>(from), channels - channel));
    }
}

/** From x to y of one image: forward, or with a stride from dy to dx. */
struct Depthwise {
  Kernel kernel;
  int channels, inputs, height, width;
  Grid<const float> x;
  Grid<float> y;
  /** Packed. */
  const float* weights;
  bool adds;
};

/** How inputs and outputs meet along one axis. */
template <int K, int S, bool kForward>
struct Axis {
  static constexpr int kPadding = (K - 1) / 2;
  /** The tap where an output meets an input, or −1. */
  static constexpr int tap(int out, int in) {
    const int t = kForward ? in + kPadding - out * S : out + kPadding - in * S;
    return t >= 0 && t < K ? t : -1;
  }
  static constexpr bool meets(int first, int outputs, int in) {
    for (int i = 0; i < outputs; i++)
      if (tap(first + i, in) >= 0) return true;
    return false;
  }
  /** The first input that an output meets, and the end of those that `outputs` from 0 on meet. */
  EVOLAYER_INLINE static constexpr int firstOf(int out) {
    // Rounded up: S divides only what is made non-negative.
    return kForward ? out * S - kPadding : (out + kPadding - K + S + S * K) / S - K;
  }
  EVOLAYER_INLINE static constexpr int endOf(int out) {
    return kForward ? out * S - kPadding + K : (out + kPadding) / S + 1;
  }
};

/** Writes P outputs of a row, `column` floats apart, or adds them to what is there. */
template <int P>
EVOLAYER_INLINE void finish(bool adds, Float<kLanes> (&sums)[P], float* y, int64_t column, int n) {
  if (adds)
    repeat<P>([&](auto p) EVOLAYER_LAMBDA { sums[p] += load<kLanes>(y + p * column); });
  if (n >= kLanes)
    repeat<P>([&](auto p) EVOLAYER_LAMBDA { store<kLanes>(y + p * column, sums[p]); });
  else
    repeat<P>([&](auto p) EVOLAYER_LAMBDA { storeFirst<kLanes>(y + p * column, sums[p], n); });
}

/** Whether small images have kernels of their own: not worth their size where vectors are short and registers few. */
constexpr bool kWholeImages = kRegisters == 32 || kLanes >= 8;

/** Output rows whose sums are in registers together. */
template <int N>
constexpr int kRowsAtOnce = most(1, least(N, kRegisters / 2 / N));

/** Adds the products of inputs C up to, not including, D of a row to those of its P outputs that they meet; `pixel` is input C. */
template <int K, class A, int P, int C, int D>
EVOLAYER_INLINE void addRow(Float<kLanes> (&sums)[P], const float* pixel, int64_t column,
                            const Float<kLanes> (&weights)[K]) {
  repeat<D - C>([&](auto c) EVOLAYER_LAMBDA {
    if constexpr (A::meets(0, P, C + c)) {
      const Float<kLanes> input = load<kLanes>(pixel);
      // Keeps the input in its register, too: it cannot be loaded a second time.
      pixel += column;
      keep(pixel);
      repeat<P>([&](auto p) EVOLAYER_LAMBDA {
        constexpr int tap = A::tap(p, C + c);
        if constexpr (tap >= 0) sums[p] += input * weights[tap];
      });
    } else {
      pixel += column;
    }
  });
}

/** Rows of outputs from F on, of an image of M×M inputs and N×N outputs. */
template <int K, class A, int M, int N, int F>
EVOLAYER_INLINE void depthwiseRows(const Depthwise& job, const float* x, const float* w, float* y, int n) {
  constexpr int R = least(kRowsAtOnce<N>, N - F);
  Float<kLanes> sums[R][N];
  repeat<R>([&](auto p) EVOLAYER_LAMBDA { repeat<N>([&](auto q) EVOLAYER_LAMBDA { sums[p][q] = splat<kLanes>(0); }); });
  repeat<K>([&](auto a) EVOLAYER_LAMBDA {
    Float<kLanes> weights[K];
    repeat<K>([&](auto b) EVOLAYER_LAMBDA { weights[b] = load<kLanes>(w + (a * K + b) * kLanes); });
    repeat<R>([&](auto p) EVOLAYER_LAMBDA {
      repeat<M>([&](auto r) EVOLAYER_LAMBDA {
        if constexpr (A::tap(F + p, r) == a) {
          const float* pixel = x + r * job.x.row;
          keep(pixel);
          addRow<K, A, N, 0, M>(sums[p], pixel, job.x.column, weights);
        }
      });
    });
  });
  repeat<R>([&](auto p) EVOLAYER_LAMBDA { finish(job.adds, sums[p], y + (F + p) * job.y.row, job.y.column, n); });
  if constexpr (F + R < N) depthwiseRows<K, A, M, N, F + R>(job, x, w, y, n);
}

/** An image of M×M inputs and N×N outputs. */
template <int K, int S, bool kForward, int M, int N>
void depthwiseWhole(const Depthwise& job, int image) {
  const float* w = job.weights;
  const float* x = job.x.at(image, 0, 0);
  float* y = job.y.at(image, 0, 0);
  for (int channel = 0; channel < job.channels; channel += kLanes, w += K * K * kLanes)
    depthwiseRows<K, Axis<K, S, kForward>, M, N, 0>(job, x + channel, w, y + channel, job.channels - channel);
}

/** P outputs of a row, which meet the inputs of `rows` rows from C on up to, not including, D; w is at the taps of the first. */
template <int K, int S, bool kForward, int P, int C, int D>
EVOLAYER_INLINE void depthwiseTile(const Depthwise& job, const float* x, const float* w, int rows, float* y, int n) {
  Float<kLanes> sums[P];
  repeat<P>([&](auto p) EVOLAYER_LAMBDA { sums[p] = splat<kLanes>(0); });
  for (; rows > 0; rows--) {
    Float<kLanes> weights[K];
    repeat<K>([&](auto b) EVOLAYER_LAMBDA { weights[b] = load<kLanes>(w + b * kLanes); });
    addRow<K, Axis<K, S, kForward>, P, C, D>(sums, x + C * job.x.column, job.x.column, weights);
    x += job.x.row;
    w += (kForward ? 1 : -S) * K * kLanes;
  }
  // Now x is at what the next row of outputs reads first: in a wide tensor too far apart for the hardware to foresee.
  repeat<kForward ? S : 1>([&](auto r) EVOLAYER_LAMBDA {
    repeat<D - C>([&](auto c) EVOLAYER_LAMBDA { __builtin_prefetch(x + r * job.x.row + (C + c) * job.x.column); });
  });
  finish(job.adds, sums, y, job.y.column, n);
}

/** A row of outputs. */
template <int K, int S, bool kForward>
__attribute__((noinline)) void depthwiseRow(const Depthwise& job, const float* x, const float* w, int rows, float* y, int n) {
  using A = Axis<K, S, kForward>;
  int width = job.width;
  if constexpr (S == 1) {
    if (width == 7) return depthwiseTile<K, S, kForward, 7, 0, 7>(job, x, w, rows, y, n);
    if (width == 8) return depthwiseTile<K, S, kForward, 8, 0, 8>(job, x, w, rows, y, n);
  }
  const auto tile = [&](auto pixels) EVOLAYER_LAMBDA {
    constexpr int P = decltype(pixels){};
    depthwiseTile<K, S, kForward, P, A::firstOf(0), A::endOf(P - 1)>(job, x, w, rows, y, n);
    // Tiles with another to their right have an even number of pixels.
    x += (kForward ? P * S : P / S) * job.x.column;
    y += P * job.y.column;
    width -= P;
  };
  while (width >= 8) tile(Index<8>());
  if (width & 4) tile(Index<4>());
  if (width & 2) tile(Index<2>());
  if (width & 1) tile(Index<1>());
}

template <int K, int S, bool kForward>
void depthwiseImage(const Depthwise& job, int image) {
  using A = Axis<K, S, kForward>;
  for (int row = 0; row < job.height; row++) {
    const int first = most(0, A::firstOf(row)), end = least(job.inputs, A::endOf(row));
    const float* x = job.x.at(image, first, 0);
    const float* w = job.weights + A::tap(row, first) * K * kLanes;
    float* y = job.y.at(image, row, 0);
    for (int channel = 0; channel < job.channels; channel += kLanes, w += K * K * kLanes)
      depthwiseRow<K, S, kForward>(job, x + channel, w, end - first, y + channel, job.channels - channel);
  }
}

/** Outputs of one parity along an axis, for kernels that are rare: from tap `first` on in steps, and from input `shift` on. */
struct Progression {
  int first, step, taps, shift;
};

template <int P>
EVOLAYER_INLINE void anyTile(const Depthwise& job, const Progression& down, const Progression& across, const float* x,
                             const float* w, float* y, int64_t stepX, int64_t stepY, int n) {
  Float<kLanes> sums[P];
  repeat<P>([&](auto p) EVOLAYER_LAMBDA { sums[p] = splat<kLanes>(0); });
  for (int a = 0; a < down.taps; a++)
    for (int b = 0; b < across.taps; b++) {
      const int tap = (down.first + a * down.step) * job.kernel.size + across.first + b * across.step;
      const Float<kLanes> weight = load<kLanes>(w + tap * kLanes);
      const float* pixel = x + a * job.x.row + b * job.x.column;
      repeat<P>([&](auto p) EVOLAYER_LAMBDA { sums[p] += load<kLanes>(pixel + p * stepX) * weight; });
    }
  finish(job.adds, sums, y, stepY, n);
}

/** Output pixels (r, c), (r, c + every) … of every `every`-th row, each `strideX` inputs from the last; zeros of the halo included. */
inline void anyParity(const Depthwise& job, int image, int r, int c, int every, int strideX, const Progression& down,
                      const Progression& across) {
  const int64_t stepX = strideX * job.x.column, stepY = every * job.y.column;
  for (int i = 0; r + i * every < job.height; i++)
    for (int channel = 0; channel < job.channels; channel += kLanes) {
      const float* x = job.x.at(image, i * strideX + down.shift, across.shift) + channel;
      const float* w = job.weights + int64_t(channel) * job.kernel.size * job.kernel.size;
      float* y = job.y.at(image, r + i * every, c) + channel;
      int left = ceilDiv(job.width - c, every);
      for (; left >= 4; left -= 4, x += 4 * stepX, y += 4 * stepY)
        anyTile<4>(job, down, across, x, w, y, stepX, stepY, job.channels - channel);
      for (; left > 0; left--, x += stepX, y += stepY)
        anyTile<1>(job, down, across, x, w, y, stepX, stepY, job.channels - channel);
    }
}

template <bool kForward>
void depthwiseAny(const Depthwise& job, int image) {
  const int size = job.kernel.size, stride = job.kernel.stride;
  if (kForward) {
    const Progression all = {0, 1, size, -job.kernel.padding()};
    return anyParity(job, image, 0, 0, 1, stride, all, all);
  }
  const auto of = [&](int parity) {
    const Parity p(job.kernel, parity);
    return Progression{p.last, -stride, p.taps, p.shift};
  };
  for (int r = 0; r < stride; r++)
    for (int c = 0; c < stride; c++) anyParity(job, image, r, c, stride, 1, of(r), of(c));
}

using DepthwiseImage = void (*)(const Depthwise&, int);

/** The kernel for square images of `inputs` and `outputs` pixels a side; 0 for any other. */
template <int K, int S, bool kForward>
DepthwiseImage depthwiseOf(int inputs, int outputs) {
  if constexpr (!kWholeImages) {
    return depthwiseImage<K, S, kForward>;
  } else if constexpr (S == 1) {
    if (outputs == 2) return depthwiseWhole<K, 1, true, 2, 2>;
    if (outputs == 4) return depthwiseWhole<K, 1, true, 4, 4>;
    if constexpr (K == 3)
      if (outputs == 7) return depthwiseWhole<K, 1, true, 7, 7>;
  } else if constexpr (kForward) {
    if (inputs == 4) return depthwiseWhole<K, 2, true, 4, 2>;
    if (inputs == 7) return depthwiseWhole<K, 2, true, 7, 4>;
    if (inputs == 8) return depthwiseWhole<K, 2, true, 8, 4>;
  } else {
    if (outputs == 4) return depthwiseWhole<K, 2, false, 2, 4>;
    if (outputs == 7) return depthwiseWhole<K, 2, false, 4, 7>;
    if (outputs == 8) return depthwiseWhole<K, 2, false, 4, 8>;
  }
  return depthwiseImage<K, S, kForward>;
}

template <bool kForward>
DepthwiseImage depthwiseFor(Kernel kernel, int inputs, int outputs) {
  switch (kernel.size * 2 + kernel.stride) {
    case 3 * 2 + 1: return depthwiseOf<3, 1, true>(inputs, outputs);
    case 3 * 2 + 2: return depthwiseOf<3, 2, kForward>(inputs, outputs);
    case 5 * 2 + 1: return depthwiseOf<5, 1, true>(inputs, outputs);
    case 5 * 2 + 2: return depthwiseOf<5, 2, kForward>(inputs, outputs);
    default: return depthwiseAny<kForward>;
  }
}

template <bool kForward>
void depthwiseImages(const Tensor& x, const float* weights, const Tensor& y, Kernel kernel, bool adds, float* arena,
                     float* scratch, int images) {
  Depthwise job;
  job.kernel = kernel;
  job.channels = y.channels;
  job.inputs = x.height;
  job.height = y.height;
  job.width = y.width;
  job.x = readOnly(gridOf(arena, x));
  job.y = gridOf(arena, y);
  job.weights = scratch;
  job.adds = adds;
  // With stride 1 the gradient is the same convolution with the taps backwards.
  const bool usual = kernel.size == 3 || kernel.size == 5;
  packTaps(weights, kernel.size * kernel.size, y.channels, !kForward && usual && kernel.stride == 1, scratch);
  const bool square = x.height == x.width && y.height == y.width;
  const DepthwiseImage run =
      square ? depthwiseFor<kForward>(kernel, x.height, y.height) : depthwiseFor<kForward>(kernel, 0, 0);
  for (int i = 0; i < images; i++) run(job, i);
}

inline void depthwise(const Tensor& x, const float* weights, const Tensor& y, Kernel kernel, float* arena,
                      float* scratch, int images) {
  depthwiseImages<true>(x, weights, y, kernel, false, arena, scratch, images);
}

inline void depthwiseInputGradient(const Tensor& dy, const float* weights, const Tensor& dx, Kernel kernel, bool adds,
                                   float* arena, float* scratch, int images) {
  depthwiseImages<false>(dy, weights, dx, kernel, adds, arena, scratch, images);
}

/** Floats that either of them needs. */
inline size_t depthwiseScratch(int64_t size, int channels) {
  return size * size * ceilDiv(channels, kLanes) * kLanes;
}

}  // namespace
}  // namespace evolayer
