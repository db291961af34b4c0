// The instructions around layers and convolutions.
#pragma once
#include <math.h>

#include "../machine.h"
#include "weight-gradient.h"

namespace evolayer {
namespace {

EVOLAYER_INLINE Float<kLanes> wide(float x) { return splat<kLanes>(x); }

/** Calls f(channel, number of channels) for each vector of channels. */
template <class F>
EVOLAYER_INLINE void forChannels(int channels, F&& f) {
  for (int c = 0; c < channels; c += kLanes) f(c, least(kLanes, channels - c));
}

inline void pool(const Tensor& x, const Tensor& y, float* arena, int images) {
  const Grid<float> from = gridOf(arena, x), to = gridOf(arena, y);
  const float share = 1.0f / (x.height * x.width);
  for (int i = 0; i < images; i++)
    forChannels(x.channels, [&](int channel, int n) {
      Float<kLanes> total = wide(0);
      for (int r = 0; r < x.height; r++) {
        Float<kLanes> sum = wide(0);
        for (int c = 0; c < x.width; c++) sum += load<kLanes>(from.at(i, r, c) + channel);
        total += sum;
      }
      storeUpTo<kLanes>(to.at(i, 0, 0) + channel, total * share, n);
    });
}

inline void poolGradient(const Tensor& dy, const Tensor& dx, bool adds, float* arena, int images) {
  const Grid<float> from = gridOf(arena, dy), to = gridOf(arena, dx);
  const float share = 1.0f / (dx.height * dx.width);
  for (int i = 0; i < images; i++)
    forChannels(dx.channels, [&](int channel, int n) {
      const Float<kLanes> gradient = load<kLanes>(from.at(i, 0, 0) + channel) * share;
      for (int r = 0; r < dx.height; r++)
        for (int c = 0; c < dx.width; c++) {
          float* pixel = to.at(i, r, c) + channel;
          storeUpTo<kLanes>(pixel, adds ? load<kLanes>(pixel) + gradient : gradient, n);
        }
    });
}

/** Tensors of 1×1 images as one row of pixels. */
template <class T>
EVOLAYER_INLINE Grid<T> asRow(const Grid<T>& g) {
  return {g.base, 0, 0, g.image};
}

inline Product matrixProduct(Grid<float> x, int inputs, Grid<float> y, int outputs, int images) {
  Product job;
  job.segments = {1, inputs, 0};
  job.images = 1;
  job.height = 1;
  job.width = images;
  job.x = readOnly(asRow(x));
  job.y = asRow(y);
  job.r = {nullptr, 0, 0, 0};
  job.outputs = outputs;
  return job;
}

inline void dense(const Tensor& x, const float* weights, const float* bias, const Tensor& y, float* arena,
                  float* scratch, int images) {
  Product job = matrixProduct(gridOf(arena, x), x.channels, gridOf(arena, y), y.channels, images);
  job.r.base = bias;
  multiply(job, packWeights(weights, x.channels, y.channels, scratch));
}

inline void denseInputGradient(const Tensor& dy, const float* weights, const Tensor& dx, bool adds, float* arena,
                               float* scratch, int images) {
  const Kernel one{1, 1};
  Product job = matrixProduct(gridOf(arena, dy), dy.channels, gridOf(arena, dx), dx.channels, images);
  if (adds) job.r = readOnly(job.y);
  packTransposed(weights, one, Parity(one, 0), Parity(one, 0), dx.channels, dy.channels, scratch);
  multiply(job, scratch);
}

inline void denseWeightGradient(const Tensor& x, const Tensor& dy, float* dw, float* db, float* arena, Batch batch) {
  Outer job;
  job.images = batch.images;
  job.height = job.width = 1;
  job.x = readOnly(gridOf(arena, x));
  job.dy = readOnly(gridOf(arena, dy));
  job.inputs = x.channels;
  job.outputs = dy.channels;
  forParts(job, {0, 1}, [&](const Outer& part, bool fresh) { outer(part, dw, fresh && !batch.continues()); });
  forChannels(dy.channels, [&](int channel, int n) {
    Float<kLanes> sum = batch.continues() ? load<kLanes>(db + channel) : wide(0);
    for (int i = 0; i < batch.images; i++) sum += load<kLanes>(job.dy.at(i, 0, 0) + channel);
    storeUpTo<kLanes>(db + channel, sum, n);
  });
}

/** Writes e^(logit − largest) / their sum, less 1 at the label, times `share`. Returns the loss. */
inline double crossEntropy(const float* logits, int classes, int label, double share, float* gradient, bool& correct) {
  int best = 0;
  for (int k = 1; k < classes; k++)
    if (logits[k] > logits[best]) best = k;
  correct = best == label;
  const double largest = logits[best];
  double sum = 0;
  for (int k = 0; k < classes; k++) sum += exp(logits[k] - largest);
  if (gradient)
    for (int k = 0; k < classes; k++)
      gradient[k] = static_cast<float>((exp(logits[k] - largest) / sum - (k == label)) * share);
  return log(sum) - (logits[label] - largest);
}

inline Status loss(const Tensor& logits, const int32_t* labels, const Tensor& gradient, double* result, float* arena,
                   Batch batch) {
  const Grid<float> from = gridOf(arena, logits), to = gridOf(arena, gradient);
  if (!batch.continues()) result[0] = result[1] = 0;
  for (int i = 0; i < batch.images; i++) {
    if (labels[i] < 0 || labels[i] >= logits.channels) return kLabelOutOfRange;
    bool correct;
    float* target = gradient.offset < 0 ? nullptr : to.at(i, 0, 0);
    result[0] += crossEntropy(from.at(i, 0, 0), logits.channels, labels[i], 1.0 / batch.total, target, correct);
    result[1] += correct;
  }
  return kDone;
}

inline void sgd(float* weights, const float* gradients, float* momenta, int64_t count, const float* hyper,
                bool decays) {
  const float rate = hyper[0], momentum = hyper[1], decay = decays ? hyper[2] : 0;
  const auto step = [&](int64_t i, int n) {
    const Float<kLanes> w = load<kLanes>(weights + i);
    // No product with a decay of 0: an infinite weight would make NaN of it.
    const Float<kLanes> g = decays ? load<kLanes>(gradients + i) + decay * w : load<kLanes>(gradients + i);
    const Float<kLanes> m = momentum * load<kLanes>(momenta + i) + g;
    storeUpTo<kLanes>(momenta + i, m, n);
    storeUpTo<kLanes>(weights + i, w - rate * (g + momentum * m), n);
  };
  int64_t i = 0;
  for (; i + kLanes <= count; i += kLanes) step(i, kLanes);
  if (i < count) step(i, static_cast<int>(count - i));
}

inline void addTensors(const Tensor& a, const Tensor& b, const Tensor& y, float* arena, int images) {
  const bool flat = a.halo == 0 && b.halo == 0 && y.halo == 0;
  mapTensors<kLanes>(y, gridOf(arena, y), readOnly(gridOf(arena, a)), readOnly(gridOf(arena, b)), images, flat,
                     [](auto u, auto v) EVOLAYER_LAMBDA { return u + v; });
}

inline void copyTensor(const Tensor& a, const Tensor& y, float* arena, int images) {
  const Grid<const float> from = readOnly(gridOf(arena, a));
  mapTensors<kLanes>(y, gridOf(arena, y), from, from, images, a.halo == 0 && y.halo == 0,
                     [](auto u, auto) EVOLAYER_LAMBDA { return u; });
}

inline void zeroHalo(const Tensor& t, float* arena, int images) {
  const Grid<float> g = gridOf(arena, t);
  const size_t side = sizeof(float) * t.halo * t.channels, band = sizeof(float) * t.halo * g.row;
  for (int i = 0; i < images; i++) {
    std::memset(g.at(i, -t.halo, -t.halo), 0, band);
    for (int r = 0; r < t.height; r++) {
      std::memset(g.at(i, r, -t.halo), 0, side);
      std::memset(g.at(i, r, t.width), 0, side);
    }
    std::memset(g.at(i, t.height, -t.halo), 0, band);
  }
}

}  // namespace
}  // namespace evolayer
