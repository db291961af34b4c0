// Convolutions and matrix products, forward and to the input: one kernel.
//
// The output of a pixel is a sum over `rows` segments of `length` consecutive input floats (for a k×k
// convolution: k segments of k·channels floats, since neighbouring pixels follow each other) times a matrix of
// weights. The kernel keeps P pixels × V vectors of output channels in registers: for each input float it loads V
// vectors of weights, and multiplies and adds one broadcast float per pixel.
#pragma once
#include "tensor.h"

namespace evolayer {
namespace {

/** Input of a sum of products: `rows` segments of `length` floats, `stride` apart. */
struct Segments {
  int rows, length;
  int64_t stride;
};

/** y = Σ x·w (+ r): over a grid of pixels that all three share. */
struct Product {
  Segments segments;
  int images, height, width;
  Grid<const float> x;
  Grid<float> y;
  /** What is added; its base is null for nothing. */
  Grid<const float> r;
  int outputs;
};

/** How many pixels a tile has: enough accumulators to hide the latency of multiply-adds, and all in registers. */
template <int V>
constexpr int kTilePixels = kRegisters == 32 ? (V == 1 ? 16 : 12) : (V == 1 ? 12 : 6);
/** Input floats per round of the inner loop. Each pixel's pointer is fetched once per round. */
template <int V>
constexpr int kRound = kRegisters == 32 ? 4 / V : 1;

/** The pixels of a tile: at a constant distance in one row, or anywhere. */
template <class T, bool kRow>
struct Pixels {
  T* base;
  int64_t column;
  T* const* table;

  EVOLAYER_INLINE T* at(int p) const {
    if constexpr (kRow)
      return base + p * column;
    else
      return table[p];
  }
};

template <int L, int V, int P>
struct Accumulators {
  Float<L> sums[P][V];
};

/** Keeps a pointer in a register of its own; else the compiler derives many pointers from few, outside of the loop, and spills them. */
EVOLAYER_INLINE void keep(const float*& p) { __asm__("" : "+r"(p)); }

/** R input floats of each pixel, from `pixel(p)` on. */
template <int L, int V, int P, int R, class F>
EVOLAYER_INLINE void accumulateRound(Accumulators<L, V, P>& acc, const float* w, F&& pixel) {
  Float<L> weights[R][V];
  repeat<R>([&](auto u) EVOLAYER_LAMBDA { repeat<V>([&](auto v) EVOLAYER_LAMBDA { weights[u][v] = load<L>(w + (u * V + v) * L); }); });
  repeat<P>([&](auto p) EVOLAYER_LAMBDA {
    const float* x = pixel(p);
    repeat<R>([&](auto u) EVOLAYER_LAMBDA { repeat<V>([&](auto v) EVOLAYER_LAMBDA { acc.sums[p][v] += weights[u][v] * x[u]; }); });
  });
}

/** Pixels of one row: a pointer for every three of them, since addresses have an index times 1 or 2 for free. */
template <int L, int V, int P>
EVOLAYER_INLINE const float* accumulateSegment(Accumulators<L, V, P>& acc, Pixels<const float, true> x, int64_t start,
                                               int length, const float* w) {
  constexpr int R = kRound<V>, G = (P + 2) / 3;
  const float* groups[G];
  repeat<G>([&](auto g) EVOLAYER_LAMBDA { groups[g] = x.base + start + 3 * g * x.column; });
  const int64_t column = x.column;
  const auto round = [&](auto size) EVOLAYER_LAMBDA {
    keep(w);
    repeat<G>([&](auto g) EVOLAYER_LAMBDA { keep(groups[g]); });
    accumulateRound<L, V, P, size>(acc, w, [&](auto p) EVOLAYER_LAMBDA { return groups[p / 3] + p % 3 * column; });
    repeat<G>([&](auto g) EVOLAYER_LAMBDA { groups[g] += size; });
    w += size * V * L;
  };
  int left = length;
  for (; left >= R; left -= R) round(Index<R>());
  if constexpr (R > 1)
    for (; left > 0; left--) round(Index<1>());
  return w;
}

/** Pixels anywhere. */
template <int L, int V, int P>
EVOLAYER_INLINE const float* accumulateSegment(Accumulators<L, V, P>& acc, Pixels<const float, false> x, int64_t start,
                                               int length, const float* w) {
  constexpr int R = kRound<V>;
  int64_t j = start;
  const int64_t end = start + length;
  for (; j + R <= end; j += R, w += R * V * L)
    accumulateRound<L, V, P, R>(acc, w, [&](auto p) EVOLAYER_LAMBDA { return x.table[p] + j; });
  if constexpr (R > 1)
    for (; j < end; j++, w += V * L)
      accumulateRound<L, V, P, 1>(acc, w, [&](auto p) EVOLAYER_LAMBDA { return x.table[p] + j; });
  return w;
}

/** What a tile works on; in memory, lest it takes registers from the inner loop. */
template <bool kRow>
struct TileJob {
  Segments segments;
  Pixels<const float, kRow> x;
  const float* w;
  Pixels<float, kRow> y;
  Pixels<const float, kRow> r;
  bool adds;
  /** Of the pixels the first `valid` are written, and of their channels the first `columns`. */
  int valid, columns;
};

template <int L, int V, int P, bool kRow>
__attribute__((noinline)) void tile(const TileJob<kRow>& job) {
  Accumulators<L, V, P> acc;
  repeat<P>([&](auto p) EVOLAYER_LAMBDA { repeat<V>([&](auto v) EVOLAYER_LAMBDA { acc.sums[p][v] = splat<L>(0); }); });
  const float* w = job.w;
  for (int s = 0; s < job.segments.rows; s++)
    w = accumulateSegment<L, V, P>(acc, job.x, s * job.segments.stride, job.segments.length, w);
  const TileJob<kRow>* after = &job;
  __asm__("" : "+r"(after));
  if (after->adds)
    repeat<P>([&](auto p) EVOLAYER_LAMBDA {
      const float* from = after->r.at(p);
      repeat<V>([&](auto v) EVOLAYER_LAMBDA { acc.sums[p][v] += load<L>(from + v * L); });
    });
  if (after->valid == P && after->columns == V * L) {
    Pixels<float, kRow> y = after->y;
    return repeat<P>([&](auto p) EVOLAYER_LAMBDA {
      float* to = kRow ? y.base : y.at(p);
      repeat<V>([&](auto v) EVOLAYER_LAMBDA { store<L>(to + v * L, acc.sums[p][v]); });
      y.base += y.column;
      __asm__("" : "+r"(y.base));
    });
  }
  repeat<P>([&](auto p) EVOLAYER_LAMBDA {
    if (p >= after->valid) return;
    repeat<V>([&](auto v) EVOLAYER_LAMBDA { storeUpTo<L>(after->y.at(p) + v * L, acc.sums[p][v], after->columns - v * L); });
  });
}

template <int L, int V, int P>
EVOLAYER_INLINE void tileInRow(const Product& job, const float* x, const float* w, float* y, const float* r,
                               int columns) {
  tile<L, V, P, true>({job.segments,
                       {x, job.x.column, nullptr},
                       w,
                       {y, job.y.column, nullptr},
                       {r, job.r.column, nullptr},
                       job.r.base != nullptr,
                       P,
                       columns});
}

/** Tiles of P pixels, where a row has a multiple of P. */
template <int L, int V, int P>
void blockOfRows(const Product& job, const float* w, int columns, int begin, int end) {
  for (int image = begin; image < end; image++)
    for (int row = 0; row < job.height; row++) {
      const float* x = job.x.at(image, row, 0);
      const float* r = job.r.at(image, row, 0);
      float* y = job.y.at(image, row, 0);
      for (int c = 0; c < job.width; c += P) {
        tileInRow<L, V, P>(job, x, w, y, r, columns);
        x += P * job.x.column;
        r += P * job.r.column;
        y += P * job.y.column;
      }
    }
}

/** Goes over the pixels of a product in order. */
struct Cursor {
  const Product& job;
  int image, row, column;

  template <class T>
  EVOLAYER_INLINE T* in(const Grid<T>& grid) const {
    return grid.at(image, row, column);
  }

  EVOLAYER_INLINE void advance(int pixels) {
    column += pixels;
    if (column < job.width) return;
    column = 0;
    if (++row < job.height) return;
    row = 0;
    image++;
  }
};

/** A tile of the next pixels up to image `end`, from several rows or images; where they run out, the last is repeated. */
template <int L, int V, int P>
EVOLAYER_INLINE void tileAcrossRows(Cursor& at, int end, const float* w, int columns) {
  const Product& job = at.job;
  const float* x[P];
  const float* r[P];
  float* y[P];
  int valid = 0;
  while (valid < P && at.image < end) {
    const int n = least(P - valid, job.width - at.column);
    const float *nextX = at.in(job.x), *nextR = at.in(job.r);
    float* nextY = at.in(job.y);
    for (int i = 0; i < n; i++, valid++, nextX += job.x.column, nextY += job.y.column, nextR += job.r.column) {
      x[valid] = nextX;
      y[valid] = nextY;
      r[valid] = nextR;
    }
    at.advance(n);
  }
  for (int p = valid; p < P; p++) {
    x[p] = x[valid - 1];
    y[p] = y[valid - 1];
    r[p] = r[valid - 1];
  }
  tile<L, V, P, false>({job.segments, {nullptr, 0, x}, w, {nullptr, 0, y}, {nullptr, 0, r}, job.r.base != nullptr, valid,
                        columns});
}

/** Tiles of P pixels, for rows of any length. */
template <int L, int V, int P>
void blockOfPixels(const Product& job, const float* w, int columns, int begin, int end) {
  Cursor at{job, begin, 0, 0};
  while (at.image < end) {
    if (at.column + P > job.width) {
      tileAcrossRows<L, V, P>(at, end, w, columns);
      continue;
    }
    tileInRow<L, V, P>(job, at.in(job.x), w, at.in(job.y), at.in(job.r), columns);
    at.advance(P);
  }
}

/** blockOfRows for the first of the tiles P, Rest… that fits the rows; false where none does. */
template <int L, int V, int P, int... Rest>
EVOLAYER_INLINE bool fitRows(const Product& job, const float* w, int columns, int begin, int end) {
  if (job.width % P == 0) {
    blockOfRows<L, V, P>(job, w, columns, begin, end);
    return true;
  }
  if constexpr (sizeof...(Rest) > 0) return fitRows<L, V, Rest...>(job, w, columns, begin, end);
  return false;
}

/** The output channels from `first` on, `columns` ≤ V·L of them, of images `begin` to `end`. */
template <int L, int V>
void block(const Product& whole, const float* w, int first, int columns, int begin, int end) {
  Product job = whole;
  job.y.base += first;
  if (job.r.base) job.r.base += first;
  bool done = false;
  if constexpr (kRegisters == 32 && V == 2) done = fitRows<L, V, 12, 8, 7, 6>(job, w, columns, begin, end);
  if constexpr (kRegisters == 32 && V == 1) done = fitRows<L, V, 16, 14, 12, 8>(job, w, columns, begin, end);
  if constexpr (kRegisters < 32 && V == 2) done = fitRows<L, V, 6, 5, 4>(job, w, columns, begin, end);
  if constexpr (kRegisters < 32 && V == 1) done = fitRows<L, V, 12, 10, 8, 7>(job, w, columns, begin, end);
  if (!done) blockOfPixels<L, V, kTilePixels<V>>(job, w, columns, begin, end);
}

/** Output channels are cut into blocks of two vectors, one, or half a one, which wastes the fewest lanes. */
struct Block {
  int vectors, width;
};
constexpr bool kHalves = kLanes >= 8;
constexpr int kHalf = kHalves ? kLanes / 2 : kLanes;

EVOLAYER_INLINE Block blockFor(int remaining) {
  if (remaining > kLanes + (kHalves ? kHalf : 0)) return {2, 2 * kLanes};
  if (remaining > kHalf) return {1, kLanes};
  return {kHalves ? 0 : 1, kHalf};
}

/** At least the sum of the widths of the blocks. */
EVOLAYER_INLINE int packedWidth(int outputs) { return outputs + 2 * kLanes; }

/** Images whose input stays in the second-level cache while the blocks of output channels go over it. */
EVOLAYER_INLINE int imagesAtOnce(const Product& job) {
  constexpr int64_t kFloats = 1 << 16;
  if (blockFor(job.outputs).width >= job.outputs) return job.images;
  return static_cast<int>(most<int64_t>(1, kFloats / most<int64_t>(1, job.x.image)));
}

EVOLAYER_INLINE void runBlock(const Product& job, Block b, const float* w, int first, int begin, int end) {
  const int columns = least(b.width, job.outputs - first);
  if (b.vectors == 2)
    block<kLanes, 2>(job, w, first, columns, begin, end);
  else if (b.vectors == 1)
    block<kLanes, 1>(job, w, first, columns, begin, end);
  else
    block<kHalf, 1>(job, w, first, columns, begin, end);
}

/** Takes the rows of an image for one, and all images, where no halo stands between them. */
EVOLAYER_INLINE Product flattened(Product job) {
  const auto rowsTouch = [&](int64_t row, int64_t column) { return row == job.width * column; };
  if (!rowsTouch(job.x.row, job.x.column) || !rowsTouch(job.y.row, job.y.column)) return job;
  if (job.r.base && !rowsTouch(job.r.row, job.r.column)) return job;
  job.width *= job.height;
  job.height = 1;
  const auto imagesTouch = [&](int64_t image, int64_t column) { return image == job.width * column; };
  if (!imagesTouch(job.x.image, job.x.column) || !imagesTouch(job.y.image, job.y.column)) return job;
  if (job.r.base && !imagesTouch(job.r.image, job.r.column)) return job;
  if (blockFor(job.outputs).width < job.outputs) return job;
  job.width *= job.images;
  job.images = 1;
  return job;
}

/** Runs a product on packed weights: block after block, [rows·length][width of the block]. */
inline void multiply(const Product& whole, const float* packed) {
  const Product job = flattened(whole);
  const int64_t depth = int64_t(job.segments.rows) * job.segments.length;
  const int step = imagesAtOnce(job);
  for (int begin = 0; begin < job.images; begin += step) {
    const float* w = packed;
    for (int first = 0; first < job.outputs;) {
      const Block b = blockFor(job.outputs - first);
      runBlock(job, b, w, first, begin, least(begin + step, job.images));
      first += b.width;
      w += depth * b.width;
    }
  }
}

/** Fields of `conv` and its gradients after their tensors. */
struct Kernel {
  int size, stride;
  EVOLAYER_INLINE int padding() const { return (size - 1) / 2; }
};

/** Weights [depth][outputs], packed. Where one block takes all channels they are so already. */
inline const float* packWeights(const float* weights, int64_t depth, int outputs, float* scratch) {
  if (blockFor(outputs).width == outputs) return weights;
  float* to = scratch;
  for (int first = 0; first < outputs;) {
    const int width = blockFor(outputs - first).width;
    for (int64_t d = 0; d < depth; d++, to += width)
      for (int i = 0; i < width; i += kHalf) {
        const Float<kHalf> w = load<kHalf>(weights + d * outputs + first + i);
        store<kHalf>(to + i, firstLanes<kHalf>(w, outputs - first - i));
      }
    first += width;
  }
  return scratch;
}

inline void convolve(const Tensor& x, const float* weights, const Tensor& y, Kernel kernel, const Tensor* r,
                     float* arena, float* scratch, int images) {
  Product job;
  job.x = readOnly(gridOf(arena, x));
  job.y = gridOf(arena, y);
  job.r = r ? readOnly(gridOf(arena, *r)) : Grid<const float>{nullptr, 0, 0, 0};
  job.segments = {kernel.size, kernel.size * x.channels, job.x.row};
  job.x.base -= kernel.padding() * (job.x.row + job.x.column);
  job.x.row *= kernel.stride;
  job.x.column *= kernel.stride;
  job.images = images;
  job.height = y.height;
  job.width = y.width;
  job.outputs = y.channels;
  multiply(job, packWeights(weights, int64_t(kernel.size) * kernel.size * x.channels, y.channels, scratch));
}

/** The taps of the output pixels of one parity, along one axis: from tap `last` down in steps of the stride. */
struct Parity {
  int last, taps, shift;

  Parity(Kernel kernel, int parity) {
    const int offset = parity + kernel.padding();
    last = kernel.size - 1;
    while ((last - offset) % kernel.stride != 0) last--;
    taps = last < 0 ? 0 : last / kernel.stride + 1;
    shift = (offset - last) / kernel.stride;
  }
};

/** to[column][row] = from[row][column]; rows of `to` have `width` floats, zeros behind the rows of `from`. */
inline void transpose(const float* from, int rows, int columns, float* to, int width) {
  int r = 0;
  for (; r + 4 <= rows; r += 4) {
    const float* source = from + int64_t(r) * columns;
    int c = 0;
    for (; c + 4 <= columns; c += 4) {
      Float<4> block[4];
      repeat<4>([&](auto i) EVOLAYER_LAMBDA { block[i] = load<4>(source + i * columns + c); });
      transpose4(block);
      repeat<4>([&](auto i) EVOLAYER_LAMBDA { store<4>(to + int64_t(c + i) * width + r, block[i]); });
    }
    for (; c < columns; c++)
      for (int i = 0; i < 4; i++) to[int64_t(c) * width + r + i] = source[i * columns + c];
  }
  for (int c = 0; c < columns; c++) {
    for (int i = r; i < rows; i++) to[int64_t(c) * width + i] = from[int64_t(i) * columns + c];
    for (int i = rows; i < width; i++) to[int64_t(c) * width + i] = 0;
  }
}

/** Weights [k][k][in][out] as [taps of the parity, backwards][out][block of in]. */
inline void packTransposed(const float* weights, Kernel kernel, const Parity& down, const Parity& across, int in,
                           int out, float* to) {
  for (int first = 0; first < in;) {
    const int width = blockFor(in - first).width;
    const int columns = least(width, in - first);
    for (int a = 0; a < down.taps; a++)
      for (int b = 0; b < across.taps; b++) {
        const int tap = (down.last - a * kernel.stride) * kernel.size + across.last - b * kernel.stride;
        const float* from = weights + (int64_t(tap) * in + first) * out;
        transpose(from, columns, out, to, width);
        to += int64_t(out) * width;
      }
    first += width;
  }
}

inline void clearPixels(const Product& job) {
  for (int i = 0; i < job.images; i++)
    for (int r = 0; r < job.height; r++)
      for (int c = 0; c < job.width; c++) std::memset(job.y.at(i, r, c), 0, sizeof(float) * job.outputs);
}

/** Each parity of input pixels meets taps of its own: a small convolution with stride 1 over dy. */
inline void inputGradient(const Tensor& dy, const float* weights, const Tensor& dx, Kernel kernel, bool adds,
                          float* arena, float* scratch, int images) {
  for (int a = 0; a < kernel.stride; a++)
    for (int b = 0; b < kernel.stride; b++) {
      const Parity down(kernel, a), across(kernel, b);
      Product job;
      job.x = readOnly(gridOf(arena, dy));
      job.y = gridOf(arena, dx);
      job.y.base += a * job.y.row + b * job.y.column;
      job.y.row *= kernel.stride;
      job.y.column *= kernel.stride;
      job.r = adds ? readOnly(job.y) : Grid<const float>{nullptr, 0, 0, 0};
      job.segments = {down.taps, across.taps * dy.channels, job.x.row};
      job.x.base += down.shift * job.x.row + across.shift * job.x.column;
      job.images = images;
      job.height = ceilDiv(dx.height - a, kernel.stride);
      job.width = ceilDiv(dx.width - b, kernel.stride);
      job.outputs = dx.channels;
      if (job.height <= 0 || job.width <= 0) continue;
      if (down.taps * across.taps == 0) {
        if (!adds) clearPixels(job);
        continue;
      }
      packTransposed(weights, kernel, down, across, dx.channels, dy.channels, scratch);
      multiply(job, scratch);
    }
}

}  // namespace
}  // namespace evolayer
