// Tensors of the instruction set as pointers and strides.
#pragma once
#include "../machine.h"
#include "vector.h"

namespace evolayer {
namespace {

/** What belongs to a share, of a total. */
EVOLAYER_INLINE int beginOf(Share s, int total) { return static_cast<int>(int64_t(total) * s.index / s.count); }
EVOLAYER_INLINE int endOf(Share s, int total) { return beginOf({s.index + 1, s.count}, total); }

/** Five words of a program. */
struct Tensor {
  int32_t offset, height, width, channels, halo;
};
constexpr int kTensorWords = 5;

EVOLAYER_INLINE const Tensor& tensorAt(const int32_t* words) {
  return *reinterpret_cast<const Tensor*>(words);
}

/** The same, from an image on. */
EVOLAYER_INLINE Tensor fromImage(Tensor t, int image) {
  t.offset += image * (t.height + 2 * t.halo) * (t.width + 2 * t.halo) * t.channels;
  return t;
}

/** A grid of pixels: `base` is pixel (0, 0) of image 0, without its halo; strides are in floats. */
template <class T>
struct Grid {
  T* base;
  int64_t image, row, column;

  EVOLAYER_INLINE T* at(int64_t i, int64_t r, int64_t c) const { return base + i * image + r * row + c * column; }
};

EVOLAYER_INLINE Grid<float> gridOf(float* arena, const Tensor& t) {
  const int64_t row = int64_t(t.width + 2 * t.halo) * t.channels;
  const int64_t image = row * (t.height + 2 * t.halo);
  return {arena + t.offset + t.halo * (row + t.channels), image, row, t.channels};
}

template <class T>
EVOLAYER_INLINE Grid<const T> readOnly(const Grid<T>& g) {
  return {g.base, g.image, g.row, g.column};
}

/** y = f(a, b) over n consecutive floats, or y = f(a, a) where b is null; never writes beyond. */
template <int L, class F>
EVOLAYER_INLINE void mapRun(float* y, const float* a, const float* b, int64_t n, F f) {
  int64_t i = 0;
  for (; i + L <= n; i += L) store<L>(y + i, f(load<L>(a + i), load<L>(b + i)));
  if (i < n) storeFirst<L>(y + i, f(load<L>(a + i), load<L>(b + i)), static_cast<int>(n - i));
}

/** Rows of a tensor as runs of floats: all images in one run where there is no halo in any of the grids. */
struct Runs {
  int64_t images, rows, length;
};

template <int L, class F>
void mapTensors(const Tensor& shape, Grid<float> y, Grid<const float> a, Grid<const float> b, int images, bool flat, F f) {
  const int64_t row = int64_t(shape.width) * shape.channels;
  if (flat) return mapRun<L>(y.base, a.base, b.base, row * shape.height * images, f);
  for (int i = 0; i < images; i++)
    for (int r = 0; r < shape.height; r++) mapRun<L>(y.at(i, r, 0), a.at(i, r, 0), b.at(i, r, 0), row, f);
}

}  // namespace
}  // namespace evolayer
