// Reductions over pixels, per channel, into slots; and the records that end them, in double precision.
#pragma once
#include "elementwise.h"

namespace evolayer {
namespace {

/** What one reduction works on now: arguments move from period to period by their steps, which are 0 for slots. */
struct Reduction {
  float* dst;
  const float *a, *b;
  int64_t aStep, bStep;
  int count, period;
  /** Starts anew. */
  bool fresh;
};

/** Where the sums of one vector of channels go: `dst` starts anew where `fresh`, else it is added to. */
EVOLAYER_INLINE void settle(float* dst, Wide sum, bool fresh) {
  store<kLanes>(dst, fresh ? sum : load<kLanes>(dst) + sum);
}

/**
 * Σ of S terms per element of a run, by position in the period. A column of vectors, one per period, is summed
 * in four chains. `term(a, b, j)` returns the S vectors for column j.
 */
template <int S, class Term>
EVOLAYER_INLINE void reduce(const Reduction& run, Term term) {
  constexpr int U = S == 1 ? 4 : 2;
  const int whole = run.count / run.period, rest = run.count % run.period;
  for (int j = 0; j < run.period; j += kLanes) {
    Wide sums[U][S];
    repeat<U>([&](auto u) EVOLAYER_LAMBDA { repeat<S>([&](auto s) EVOLAYER_LAMBDA { sums[u][s] = all(0); }); });
    const float *a = run.a + j, *b = run.b + j;
    const auto take = [&](auto u, int valid) EVOLAYER_LAMBDA {
      Wide terms[S];
      term(terms, load<kLanes>(a), load<kLanes>(b), j);
      repeat<S>([&](auto s) EVOLAYER_LAMBDA { sums[u][s] += valid < kLanes ? firstLanes<kLanes>(terms[s], valid) : terms[s]; });
      a += run.aStep;
      b += run.bStep;
    };
    int p = 0;
    for (; p + U <= whole; p += U) repeat<U>([&](auto u) EVOLAYER_LAMBDA { take(u, kLanes); });
    for (; p < whole; p++) take(Index<0>(), kLanes);
    if (rest > j) take(Index<0>(), rest - j);
    repeat<S>([&](auto s) EVOLAYER_LAMBDA {
      Wide total = sums[0][s] + sums[1][s];
      if constexpr (U == 4) total += sums[2][s] + sums[3][s];
      settle(run.dst + s * run.period + j, total, run.fresh);
    });
  }
}

inline void sumOf(const Reduction& run) {
  reduce<1>(run, [](Wide* terms, Wide a, Wide, int) EVOLAYER_LAMBDA { terms[0] = a; });
}

inline void dotOf(const Reduction& run) {
  reduce<1>(run, [](Wide* terms, Wide a, Wide b, int) EVOLAYER_LAMBDA { terms[0] = a * b; });
}

/** Sums are taken about a shift, the first pixel, so that data far from zero keeps its variance. */
inline void statsOf(const Reduction& run, int channels) {
  const float* shift = run.dst;
  if (run.fresh)
    for (int i = 0; i < run.period; i++) run.dst[i] = i < channels ? run.a[i] : run.dst[i - channels];
  Reduction sums = run;
  sums.dst += run.period;
  reduce<2>(sums, [shift](Wide* terms, Wide a, Wide, int j) EVOLAYER_LAMBDA {
    const Wide d = a - load<kLanes>(shift + j);
    terms[0] = d;
    terms[1] = d * d;
  });
}

/** Writes value(first channel of the group) to all channels of each group of `size`, over the whole period. */
template <class F>
EVOLAYER_INLINE void perGroup(float* dst, int channels, int period, int size, F&& value) {
  for (int first = 0; first < channels; first += size) {
    const float v = static_cast<float>(value(first));
    for (int c = first; c < first + size; c++) dst[c] = v;
  }
  for (int i = channels; i < period; i++) dst[i] = dst[i - channels];
}

EVOLAYER_INLINE double sumOfRepeats(const float* slot, int channel, int channels, int period) {
  double sum = 0;
  for (int i = channel; i < period; i += channels) sum += slot[i];
  return sum;
}

enum class MomentKind : int32_t { Mean, MeanSquare, Variance };

/** Channels whose moments are taken together. */
constexpr int kChunk = 128;

/** Per channel: mean, and mean square, both about the channel's own shift. */
struct Chunk {
  double mean[kChunk], square[kChunk];

  void take(const float* stats, int first, int count, int channels, int period, double share) {
    const float *sums = stats + period + first, *squares = sums + period;
    for (int c = 0; c < count; c++) {
      mean[c] = sums[c];
      square[c] = squares[c];
    }
    for (int repeat = channels; repeat < period; repeat += channels)
      for (int c = 0; c < count; c++) {
        mean[c] += sums[repeat + c];
        square[c] += squares[repeat + c];
      }
    for (int c = 0; c < count; c++) {
      mean[c] *= share;
      square[c] *= share;
    }
  }

  /** Both about `origin`. */
  void move(const float* shift, int count, double origin) {
    for (int c = 0; c < count; c++) {
      const double off = mean[c], at = (shift[c] - origin) + off;
      square[c] = square[c] - off * off + at * at;
      mean[c] = at;
    }
  }
};

EVOLAYER_INLINE double momentFrom(double mean, double square, double origin, MomentKind kind) {
  if (kind == MomentKind::Mean) return origin + mean;
  // Rounding must not make a variance negative; NaN stays.
  double variance = square - mean * mean;
  if (variance < 0) variance = 0;
  return kind == MomentKind::Variance ? variance : (origin + mean) * (origin + mean) + variance;
}

/**
 * Writes a moment of each group of `size` channels, of equally many elements each, to all channels of the group.
 * Sums about an origin keep the digits of data far from zero: about the channel's own shift, so that a channel
 * cannot spoil another's, or else about that of the group's first channel.
 */
inline void moments(float* dst, const float* stats, int channels, int period, int size, double share,
                    MomentKind kind) {
  Chunk chunk;
  if (size == 1) {
    for (int first = 0; first < channels; first += kChunk) {
      const int count = least(kChunk, channels - first);
      chunk.take(stats, first, count, channels, period, share);
      for (int c = 0; c < count; c++)
        dst[first + c] = static_cast<float>(momentFrom(chunk.mean[c], chunk.square[c], stats[first + c], kind));
    }
  } else {
    for (int group = 0; group < channels; group += size) {
      const double origin = stats[group];
      double mean = 0, square = 0;
      for (int first = group; first < group + size; first += kChunk) {
        const int count = least(kChunk, group + size - first);
        chunk.take(stats, first, count, channels, period, share);
        chunk.move(stats + first, count, origin);
        for (int c = 0; c < count; c++) {
          mean += chunk.mean[c];
          square += chunk.square[c];
        }
      }
      const float value = static_cast<float>(momentFrom(mean / size, square / size, origin, kind));
      for (int c = group; c < group + size; c++) dst[c] = value;
    }
  }
  for (int i = channels; i < period; i++) dst[i] = dst[i - channels];
}

}  // namespace
}  // namespace evolayer
