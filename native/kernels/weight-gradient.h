// Gradients of weights: sums over pixels of outer products.
//
// For one row of taps the weights are a matrix [k·in][out], and x holds the k·in floats that a pixel meets side by
// side. The kernel keeps M rows × V vectors of it in registers and runs over pixels.
#pragma once
#include "conv.h"

namespace evolayer {
namespace {

/** dw[m][o] = Σ over pixels of x[m]·dy[o]. */
struct Outer {
  int images, height, width;
  Grid<const float> x, dy;
  /** Consecutive floats at each pixel of x, and of dy. */
  int inputs, outputs;
};

/** Most rows of weights at once. */
template <int V>
constexpr int kMostRows = kRegisters == 32 ? (V == 1 ? 24 : 12) : (V == 1 ? 12 : 6);

/** Sums over the pixels of images and rows `from` to `to`; starts dw where `fresh`, else adds to it. */
template <int L, int V, int M>
void outerTile(const Outer& job, float* dw, int columns, bool fresh) {
  Float<L> sums[M][V];
  repeat<M>([&](auto m) EVOLAYER_LAMBDA { repeat<V>([&](auto v) EVOLAYER_LAMBDA { sums[m][v] = splat<L>(0); }); });
  for (int i = 0; i < job.images; i++)
    for (int row = 0; row < job.height; row++) {
      const float* x = job.x.at(i, row, 0);
      const float* dy = job.dy.at(i, row, 0);
      for (int c = 0; c < job.width; c++, x += job.x.column, dy += job.dy.column) {
        Float<L> d[V];
        repeat<V>([&](auto v) EVOLAYER_LAMBDA { d[v] = load<L>(dy + v * L); });
        repeat<M>([&](auto m) EVOLAYER_LAMBDA { repeat<V>([&](auto v) EVOLAYER_LAMBDA { sums[m][v] += d[v] * x[m]; }); });
      }
    }
  repeat<M>([&](auto m) EVOLAYER_LAMBDA {
    float* to = dw + m * int64_t(job.outputs);
    repeat<V>([&](auto v) EVOLAYER_LAMBDA {
      if (!fresh) sums[m][v] += load<L>(to + v * L);
      storeUpTo<L>(to + v * L, sums[m][v], columns - v * L);
    });
  });
}

using OuterTile = void (*)(const Outer&, float*, int, bool);

template <int L, int V, int M = 1>
EVOLAYER_INLINE OuterTile outerTileOf(int rows) {
  if constexpr (M < kMostRows<V>) {
    if (rows > M) return outerTileOf<L, V, M + 1>(rows);
  }
  return outerTile<L, V, M>;
}

/** All rows of weights for a block of output channels. */
template <int L, int V>
void outerBlock(const Outer& whole, float* dw, int first, int columns, bool fresh) {
  Outer job = whole;
  job.dy.base += first;
  const int blocks = ceilDiv(job.inputs, kMostRows<V>);
  for (int b = 0, m = 0; b < blocks; b++) {
    const int rows = ceilDiv(job.inputs - m, blocks - b);
    outerTileOf<L, V>(rows)(job, dw + int64_t(m) * job.outputs + first, columns, fresh);
    job.x.base += rows;
    m += rows;
  }
}

EVOLAYER_INLINE void outer(const Outer& job, float* dw, bool fresh) {
  for (int first = 0; first < job.outputs;) {
    const Block b = blockFor(job.outputs - first);
    const int columns = least(b.width, job.outputs - first);
    if (b.vectors == 2)
      outerBlock<kLanes, 2>(job, dw, first, columns, fresh);
    else if (b.vectors == 1)
      outerBlock<kLanes, 1>(job, dw, first, columns, fresh);
    else
      outerBlock<kHalf, 1>(job, dw, first, columns, fresh);
    first += b.width;
  }
}

/** Whole images, or rows of one: what stays in the first-level cache while all weights go over it. Sums of such a part are added to the rest, so that rounding errors do not grow with the batch. */
struct Part {
  int images, rows;

  explicit Part(const Outer& job) {
    constexpr int64_t kFloats = 6144;
    const int64_t row = job.x.row + job.dy.row;
    rows = static_cast<int>(least<int64_t>(job.height, most<int64_t>(1, kFloats / row)));
    const int64_t image = row * job.height;
    images = rows < job.height ? 1 : static_cast<int>(most<int64_t>(1, least<int64_t>(job.images, kFloats / image)));
  }
};

/** Calls f(part of the job, whether it is the first of all) for a share of the parts. */
template <class F>
EVOLAYER_INLINE void forParts(const Outer& job, Share share, F&& f) {
  const Part part(job);
  const int across = ceilDiv(job.height, part.rows), count = ceilDiv(job.images, part.images) * across;
  for (int n = beginOf(share, count); n < endOf(share, count); n++) {
    const int i = n / across * part.images, row = n % across * part.rows;
    Outer now = job;
    now.x.base = job.x.at(i, row, 0);
    now.dy.base = job.dy.at(i, row, 0);
    now.images = least(part.images, job.images - i);
    now.height = least(part.rows, job.height - row);
    f(now, n == 0);
  }
}

/** A share of the sum, which its first share starts: taken in order, shares give the same bits however many they are. */
inline void weightGradient(const Tensor& x, const Tensor& dy, float* dw, Kernel kernel, float* arena, Batch batch,
                           Share share) {
  Outer job;
  job.images = batch.images;
  job.height = dy.height;
  job.width = dy.width;
  job.x = readOnly(gridOf(arena, x));
  const int64_t xRow = job.x.row;
  job.x.base -= kernel.padding() * (job.x.row + job.x.column);
  job.x.row *= kernel.stride;
  job.x.column *= kernel.stride;
  job.dy = readOnly(gridOf(arena, dy));
  job.inputs = kernel.size * x.channels;
  job.outputs = dy.channels;
  forParts(job, share, [&](Outer part, bool fresh) {
    for (int k = 0; k < kernel.size; k++, part.x.base += xRow)
      outer(part, dw + int64_t(k) * job.inputs * job.outputs, fresh && !batch.continues());
  });
}

}  // namespace
}  // namespace evolayer
