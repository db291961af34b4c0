// Gradients of the weights of convolutions of every channel on its own: dw = Σ over pixels of x·dy, per tap.
//
// Sums of taps stay in registers while all pixels of a patch pass. Small images are unrolled as a whole, without
// the products outside of them.
#pragma once
#include "depthwise.h"

namespace evolayer {
namespace {

struct DepthwiseWeights {
  Kernel kernel;
  int channels;
  /** Pixel (0, 0), without halo. */
  Grid<const float> x, dy;
  float* dw;
};

/** Whole images or rows of one, and whether they are the first of all. */
struct Patch {
  int image, images, row, rows, columns;
  bool fresh;
};

/** Rows of taps whose sums are in registers together: a divisor of all rows. */
template <int K>
constexpr int kTapRows = kRegisters == 32 || K < 5 ? K : 1;

/** Adds the products of P pixels of dy to the sums of G × K taps; x is where the first meets the first. */
template <int K, int S, int G, int P>
EVOLAYER_INLINE void addProducts(const DepthwiseWeights& job, const float* x, const float* dy,
                                 Float<kLanes> (&sums)[G][K]) {
  Float<kLanes> gradients[P];
  repeat<P>([&](auto p) EVOLAYER_LAMBDA { gradients[p] = load<kLanes>(dy + p * job.dy.column); });
  // What the next row reads first: in a wide tensor too far apart for the hardware to foresee.
  repeat<P>([&](auto p) EVOLAYER_LAMBDA { __builtin_prefetch(dy + job.dy.row + p * job.dy.column); });
  repeat<S * P * S>([&](auto c) EVOLAYER_LAMBDA {
    __builtin_prefetch(x + (G + c / (P * S)) * job.x.row + c % (P * S) * job.x.column);
  });
  repeat<G>([&](auto g) EVOLAYER_LAMBDA {
    const float* pixel = x + g * job.x.row;
    repeat<(P - 1) * S + K>([&](auto c) EVOLAYER_LAMBDA {
      const Float<kLanes> input = load<kLanes>(pixel);
      pixel += job.x.column;
      keep(pixel);
      repeat<P>([&](auto p) EVOLAYER_LAMBDA {
        constexpr int k = c - p * S;
        if constexpr (k >= 0 && k < K) sums[g][k] += input * gradients[p];
      });
    });
  });
}

/** Adds the sums of taps from (a, b) on to dw. */
template <int G, int K>
EVOLAYER_INLINE void addSums(const DepthwiseWeights& job, bool fresh, Float<kLanes> (&sums)[G][K], int a, int b,
                             int channel) {
  repeat<G>([&](auto g) EVOLAYER_LAMBDA {
    repeat<K>([&](auto k) EVOLAYER_LAMBDA {
      float* to = job.dw + (int64_t(a + g) * job.kernel.size + b + k) * job.channels + channel;
      if (!fresh) sums[g][k] += load<kLanes>(to);
      storeUpTo<kLanes>(to, sums[g][k], job.channels - channel);
    });
  });
}

template <int G, int K>
EVOLAYER_INLINE void clear(Float<kLanes> (&sums)[G][K]) {
  repeat<G>([&](auto g) EVOLAYER_LAMBDA { repeat<K>([&](auto k) EVOLAYER_LAMBDA { sums[g][k] = splat<kLanes>(0); }); });
}

/** The sums of taps from (a, b) on over a patch of any size. */
template <int K, int S>
__attribute__((noinline)) void depthwiseTaps(const DepthwiseWeights& job, const Patch& patch, int a, int b,
                                             int channel) {
  constexpr int G = kTapRows<K>;
  const int padding = job.kernel.padding();
  Float<kLanes> sums[G][K];
  clear(sums);
  for (int j = 0; j < patch.images * patch.rows; j++) {
    const int i = patch.image + j / patch.rows, r = patch.row + j % patch.rows;
    const float* x = job.x.at(i, r * S + a - padding, b - padding) + channel;
    const float* dy = job.dy.at(i, r, 0) + channel;
    const auto add = [&](auto pixels) EVOLAYER_LAMBDA {
      addProducts<K, S, G, pixels>(job, x, dy, sums);
      x += pixels * S * job.x.column;
      dy += pixels * job.dy.column;
    };
    int width = patch.columns;
    for (; width >= 4; width -= 4) add(Index<4>());
    if (width & 2) add(Index<2>());
    if (width & 1) add(Index<1>());
  }
  addSums(job, patch.fresh, sums, a, b, channel);
}

template <int K, int S>
void depthwisePatch(const DepthwiseWeights& job, const Patch& patch) {
  for (int channel = 0; channel < job.channels; channel += kLanes)
    for (int a = 0; a < job.kernel.size; a += kTapRows<K>)
      for (int b = 0; b < job.kernel.size; b += K) depthwiseTaps<K, S>(job, patch, a, b, channel);
}

/** Rows of taps from F on, over images of M×M inputs and N×N outputs. */
template <int K, int S, int M, int N, int F>
EVOLAYER_INLINE void wholeTaps(const DepthwiseWeights& job, const Patch& patch, int channel) {
  using A = Axis<K, S, true>;
  constexpr int G = kTapRows<K>;
  Float<kLanes> sums[G][K];
  clear(sums);
  const float* x = job.x.at(patch.image, 0, 0) + channel;
  const float* dy = job.dy.at(patch.image, 0, 0) + channel;
  for (int i = 0; i < patch.images; i++, x += job.x.image, dy += job.dy.image)
    repeat<N>([&](auto p) EVOLAYER_LAMBDA {
      Float<kLanes> gradients[N];
      const float* from = dy + p * job.dy.row;
      repeat<N>([&](auto q) EVOLAYER_LAMBDA {
        gradients[q] = load<kLanes>(from);
        from += job.dy.column;
      });
      repeat<G>([&](auto g) EVOLAYER_LAMBDA {
        constexpr int r = p * S + F + g - A::kPadding;
        if constexpr (r >= 0 && r < M) {
          const float* pixel = x + r * job.x.row;
          keep(pixel);
          repeat<M>([&](auto c) EVOLAYER_LAMBDA {
            const Float<kLanes> input = load<kLanes>(pixel);
            pixel += job.x.column;
            keep(pixel);
            repeat<N>([&](auto q) EVOLAYER_LAMBDA {
              constexpr int k = A::tap(q, c);
              if constexpr (k >= 0) sums[g][k] += input * gradients[q];
            });
          });
        }
      });
    });
  addSums(job, patch.fresh, sums, F, 0, channel);
  if constexpr (F + G < K) wholeTaps<K, S, M, N, F + G>(job, patch, channel);
}

/** A patch of whole images of M×M inputs and N×N outputs. */
template <int K, int S, int M, int N>
void depthwiseWholePatch(const DepthwiseWeights& job, const Patch& patch) {
  for (int channel = 0; channel < job.channels; channel += kLanes) wholeTaps<K, S, M, N, 0>(job, patch, channel);
}

using DepthwisePatch = void (*)(const DepthwiseWeights&, const Patch&);

/** The kernel for square images of `inputs` pixels a side; 0 for any other. */
template <int K, int S>
DepthwisePatch depthwisePatchOf(int inputs) {
  if constexpr (!kWholeImages) {
    return depthwisePatch<K, S>;
  } else if constexpr (S == 1) {
    if (inputs == 2) return depthwiseWholePatch<K, 1, 2, 2>;
    if (inputs == 4) return depthwiseWholePatch<K, 1, 4, 4>;
    if constexpr (K == 3)
      if (inputs == 7) return depthwiseWholePatch<K, 1, 7, 7>;
  } else {
    if (inputs == 4) return depthwiseWholePatch<K, 2, 4, 2>;
    if (inputs == 7) return depthwiseWholePatch<K, 2, 7, 4>;
    if (inputs == 8) return depthwiseWholePatch<K, 2, 8, 4>;
  }
  return depthwisePatch<K, S>;
}

template <int S>
DepthwisePatch depthwisePatchFor(int size, int inputs) {
  if (size == 3) return depthwisePatchOf<3, S>(inputs);
  if (size == 5) return depthwisePatchOf<5, S>(inputs);
  return depthwisePatch<1, S>;
}

/** Sums of a patch are added to the rest, so that rounding errors do not grow with the batch. Shares as in `weightGradient`. */
inline void depthwiseWeightGradient(const Tensor& x, const Tensor& dy, float* dw, Kernel kernel, float* arena,
                                    Batch batch, Share share) {
  DepthwiseWeights job;
  job.kernel = kernel;
  job.channels = x.channels;
  job.x = readOnly(gridOf(arena, x));
  job.dy = readOnly(gridOf(arena, dy));
  job.dw = dw;
  // As much as the second-level cache holds; fewer pixels where they are small, for the sake of rounding.
  const int64_t floats = 4096 * least(16, x.channels);
  const int64_t row = job.x.row * kernel.stride + job.dy.row, image = row * dy.height;
  // Small images are unrolled as a whole.
  const int inputs = x.height == x.width && x.height <= 8 ? x.height : 0;
  const bool whole = inputs > 0 || image <= floats;
  const int rows = whole ? dy.height : static_cast<int>(least<int64_t>(dy.height, most<int64_t>(1, floats / row)));
  const int together = whole ? static_cast<int>(most<int64_t>(1, floats / image)) : 1;
  const auto run =
      kernel.stride == 1 ? depthwisePatchFor<1>(kernel.size, inputs) : depthwisePatchFor<2>(kernel.size, inputs);
  const int across = ceilDiv(dy.height, rows), count = ceilDiv(batch.images, together) * across;
  for (int n = beginOf(share, count); n < endOf(share, count); n++) {
    const int i = n / across * together, r = n % across * rows;
    const bool fresh = n == 0 && !batch.continues();
    run(job, {i, least(together, batch.images - i), r, least(rows, dy.height - r), dy.width, fresh});
  }
}

}  // namespace
}  // namespace evolayer
