// Reductions over pixels, per channel, into slots; and the records that end them, in double precision.
#pragma once
#include "elementwise.h"

namespace evolayer {
namespace {

/** Where the sums of one vector of channels go: `dst` starts anew where `fresh`, else it is added to. */
EVOLAYER_INLINE void settle(float* dst, Wide sum, bool fresh) {
  store<kLanes>(dst, fresh ? sum : load<kLanes>(dst) + sum);
}

/**
 * Σ of S terms per element of a run, by position in the period. A column of vectors, one per period, is summed
 * in four chains. `term(a, b, j)` returns the S vectors for column j.
 */
template <int S, class Term>
EVOLAYER_INLINE void reduce(const Run& run, bool fresh, Term term) {
  constexpr int U = S == 1 ? 4 : 2;
  const int whole = run.count / run.period, rest = run.count % run.period;
  for (int j = 0; j < run.period; j += kLanes) {
    Wide sums[U][S];
    repeat<U>([&](auto u) EVOLAYER_LAMBDA { repeat<S>([&](auto s) EVOLAYER_LAMBDA { sums[u][s] = all(0); }); });
    const float *a = run.a.base + j, *b = run.b.base + j;
    const auto take = [&](auto u, int valid) EVOLAYER_LAMBDA {
      Wide terms[S];
      term(terms, load<kLanes>(a), load<kLanes>(b), j);
      repeat<S>([&](auto s) EVOLAYER_LAMBDA { sums[u][s] += valid < kLanes ? firstLanes<kLanes>(terms[s], valid) : terms[s]; });
      a += run.a.step;
      b += run.b.step;
    };
    int p = 0;
    for (; p + U <= whole; p += U) repeat<U>([&](auto u) EVOLAYER_LAMBDA { take(u, kLanes); });
    for (; p < whole; p++) take(Index<0>(), kLanes);
    if (rest > j) take(Index<0>(), rest - j);
    repeat<S>([&](auto s) EVOLAYER_LAMBDA {
      Wide total = sums[0][s] + sums[1][s];
      if constexpr (U == 4) total += sums[2][s] + sums[3][s];
      settle(run.dst + s * run.period + j, total, fresh);
    });
  }
}

inline void sumRun(const Run& run, bool fresh) {
  reduce<1>(run, fresh, [](Wide* terms, Wide a, Wide, int) EVOLAYER_LAMBDA { terms[0] = a; });
}

inline void dotRun(const Run& run, bool fresh) {
  reduce<1>(run, fresh, [](Wide* terms, Wide a, Wide b, int) EVOLAYER_LAMBDA { terms[0] = a * b; });
}

/** Sums are taken about a shift, the first pixel, so that data far from zero keeps its variance. */
inline void statsRun(const Run& run, bool fresh, int channels) {
  const float* shift = run.dst;
  if (fresh)
    for (int i = 0; i < run.period; i++) run.dst[i] = i < channels ? run.a.base[i] : run.dst[i - channels];
  Run sums = run;
  sums.dst += run.period;
  reduce<2>(sums, fresh, [shift](Wide* terms, Wide a, Wide, int j) EVOLAYER_LAMBDA {
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

/** Mean and biased variance of a channel of `count` elements. */
struct ChannelMoments {
  double mean, variance;

  EVOLAYER_INLINE ChannelMoments(const float* stats, int channel, int channels, int period, double share) {
    const double first = sumOfRepeats(stats + period, channel, channels, period) * share;
    const double second = sumOfRepeats(stats + 2 * period, channel, channels, period) * share;
    mean = stats[channel] + first;
    variance = second - first * first;
  }
};

/** Of channels of equally many elements: the mean of means, and the mean variance plus the variance of means. */
enum class MomentKind : int32_t { Mean, MeanSquare, Variance };

EVOLAYER_INLINE double momentOf(const float* stats, int first, int size, int channels, int period, double share,
                                MomentKind kind) {
  double mean = 0;
  for (int c = first; c < first + size; c++) mean += ChannelMoments(stats, c, channels, period, share).mean;
  mean /= size;
  if (kind == MomentKind::Mean) return mean;
  double variance = 0;
  for (int c = first; c < first + size; c++) {
    const ChannelMoments own(stats, c, channels, period, share);
    variance += own.variance + (own.mean - mean) * (own.mean - mean);
  }
  variance /= size;
  // Rounding must not make it negative; NaN stays.
  if (variance < 0) variance = 0;
  return kind == MomentKind::Variance ? variance : mean * mean + variance;
}

}  // namespace
}  // namespace evolayer
