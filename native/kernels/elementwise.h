// The element-wise records: dst = code(a, b, c) over a run of floats, in which a slot (the channel vector,
// repeated over one period) is read again and again.
#pragma once
#include "../isa.h"
#include "math.h"

namespace evolayer {
namespace {

using Wide = Float<kLanes>;

/** What one record works on now. Slots among a, b and c are read again for every period. */
struct Run {
  float* dst;
  const float *a, *b, *c;
  int count, period;
  /** Nothing may be written behind `count` floats; elsewhere the last vector is written whole. */
  bool exact;
};

using Elementwise = void (*)(const Run&);

template <class Op>
EVOLAYER_INLINE Wide valueOf(Wide a, Wide b, Wide c) {
  if constexpr (Op::kArity == 1)
    return Op::of(a);
  else if constexpr (Op::kArity == 2)
    return Op::of(a, b);
  else
    return Op::of(a, b, c);
}

/** U vectors of an argument: those of a slot are held in registers, others are loaded. */
template <int U, bool kSlot, bool kUsed>
struct Argument {
  const float* next;
  Wide held[kSlot ? U : 1];

  EVOLAYER_INLINE Argument(const float* start, int period) : next(start) {
    // A round of four vectors is one, two or four periods; another is one.
    const int within = U == 4 ? period - 1 : -1;
    if constexpr (kSlot && kUsed)
      repeat<U>([&](auto u) EVOLAYER_LAMBDA { held[u] = load<kLanes>(start + (u * kLanes & within)); });
  }

  template <int I>
  EVOLAYER_INLINE Wide at(Index<I> u) const {
    if constexpr (!kUsed)
      return Wide{};
    else if constexpr (kSlot)
      return held[u];
    else
      return load<kLanes>(next + u * kLanes);
  }

  EVOLAYER_INLINE void advance() {
    if constexpr (!kSlot) next += U * kLanes;
  }
};

/** The vector at dst, or its first n floats. */
EVOLAYER_INLINE void put(float* dst, Wide value, int n, bool exact) {
  if (exact)
    storeUpTo<kLanes>(dst, value, n);
  else
    store<kLanes>(dst, value);
}

/** All of a run in rounds of U vectors, where U vectors are one or more whole periods, or there are no slots. Bit i of kSlots is set where argument i is a slot. */
template <class Op, int kSlots, int U>
void inRounds(const Run& run) {
  constexpr int A = Op::kArity;
  Argument<U, (kSlots & 1) != 0, true> a(run.a, run.period);
  Argument<U, (kSlots & 2) != 0, (A > 1)> b(run.b, run.period);
  Argument<U, (kSlots & 4) != 0, (A > 2)> c(run.c, run.period);
  float* dst = run.dst;
  int left = run.count;
  for (; left >= U * kLanes; left -= U * kLanes, dst += U * kLanes) {
    // All loads before the stores, for dst may be an argument.
    Wide results[U];
    repeat<U>([&](auto u) EVOLAYER_LAMBDA { results[u] = valueOf<Op>(a.at(u), b.at(u), c.at(u)); });
    repeat<U>([&](auto u) EVOLAYER_LAMBDA { store<kLanes>(dst + u * kLanes, results[u]); });
    a.advance();
    b.advance();
    c.advance();
  }
  repeat<U>([&](auto u) EVOLAYER_LAMBDA {
    const int n = left - u * kLanes;
    if (n > 0) put(dst + u * kLanes, valueOf<Op>(a.at(u), b.at(u), c.at(u)), n, run.exact);
  });
}

/** Vector by vector, for periods of any length. */
template <class Op, int kSlots>
void inPeriods(const Run& run) {
  const float *a = run.a, *b = run.b, *c = run.c;
  float* dst = run.dst;
  for (int left = run.count; left > 0; left -= run.period) {
    const int n = least(left, run.period);
    for (int i = 0; i < n; i += kLanes)
      put(dst + i, valueOf<Op>(load<kLanes>(a + i), load<kLanes>(b + i), load<kLanes>(c + i)), n - i, run.exact);
    dst += run.period;
    if (!(kSlots & 1)) a += run.period;
    if (!(kSlots & 2)) b += run.period;
    if (!(kSlots & 4)) c += run.period;
  }
}

/** Vectors per round: as many as registers allow, and no matter how many where one takes long. */
template <class Op>
constexpr int kUnroll = Op::kHeavy && kRegisters < 32 ? 1 : 4;

template <class Op, int kSlots>
EVOLAYER_INLINE Elementwise withSlots(int vectors) {
  if constexpr (kSlots == 0) {
    return inRounds<Op, 0, kUnroll<Op>>;
  } else if constexpr (kSlots < (1 << Op::kArity) - 1) {
    if (vectors == 1 || vectors == 2 || vectors == 4) return inRounds<Op, kSlots, 4>;
    if (vectors == 3) return inRounds<Op, kSlots, 3>;
    if constexpr (kRegisters == 32)
      if (vectors == 8) return inRounds<Op, kSlots, 8>;
  }
  return inPeriods<Op, kSlots>;
}

/** The loop for a record, given which of its arguments are slots (a bit each, others do not count) and how many vectors a period has. */
template <class Op, int kSlots = (1 << Op::kArity) - 1>
EVOLAYER_INLINE Elementwise loopOf(int slots, int vectors) {
  constexpr int kAll = (1 << Op::kArity) - 1;
  if constexpr (kSlots > 0) {
    if ((slots & kAll) != kSlots) return loopOf<Op, kSlots - 1>(slots, vectors);
  }
  return withSlots<Op, kSlots>(vectors);
}

EVOLAYER_INLINE Wide all(float x) { return splat<kLanes>(x); }

template <int A, bool H = false>
struct Traits {
  static constexpr int kArity = A;
  static constexpr bool kHeavy = H;
};
using Light1 = Traits<1>;
using Light2 = Traits<2>;
using Light3 = Traits<3>;
using Heavy1 = Traits<1, true>;

// One paragraph per record, as `src/graph/ops.ts` and `src/eval/native/isa.ts` define it.
struct AddOp : Light2 {
  static EVOLAYER_INLINE Wide of(Wide a, Wide b) { return a + b; }
};
struct MulOp : Light2 {
  static EVOLAYER_INLINE Wide of(Wide a, Wide b) { return a * b; }
};
struct DivOp : Light2 {
  static EVOLAYER_INLINE Wide of(Wide a, Wide b) { return a / guardOf<kLanes>(b); }
};
struct MaxOp : Light2 {
  static EVOLAYER_INLINE Wide of(Wide a, Wide b) { return a == a ? greater<kLanes>(a, b) : a; }
};
struct NegOp : Light1 {
  static EVOLAYER_INLINE Wide of(Wide a) { return -a; }
};
struct SigmoidOp : Heavy1 {
  static EVOLAYER_INLINE Wide of(Wide a) { return sigmoidOf<kLanes>(a); }
};
struct TanhOp : Heavy1 {
  static EVOLAYER_INLINE Wide of(Wide a) { return tanhOf<kLanes>(a); }
};
struct ExpOp : Heavy1 {
  static EVOLAYER_INLINE Wide of(Wide a) { return expOf<kLanes>(a); }
};
struct LogOp : Heavy1 {
  static EVOLAYER_INLINE Wide of(Wide a) { return signOf<kLanes>(a) * lnOf<kLanes>(absOf<kLanes>(a) + kEpsilon); }
};
struct AbsOp : Light1 {
  static EVOLAYER_INLINE Wide of(Wide a) { return absOf<kLanes>(a); }
};
struct SquareOp : Light1 {
  static EVOLAYER_INLINE Wide of(Wide a) { return a * a; }
};
struct SqrtOp : Light1 {
  static EVOLAYER_INLINE Wide of(Wide a) { return signOf<kLanes>(a) * root<kLanes>(absOf<kLanes>(a) + kEpsilon); }
};
struct SignOp : Light1 {
  static EVOLAYER_INLINE Wide of(Wide a) { return signOf<kLanes>(a); }
};
struct StepOp : Light2 {
  static EVOLAYER_INLINE Wide of(Wide a, Wide b) {
    const Wide tie = a == b ? all(0.5f) : all(0);
    return a > b ? all(1) : tie;
  }
};
struct ClearOp : Light1 {
  static EVOLAYER_INLINE Wide of(Wide a) { return absOf<kLanes>(a) >= all(kEpsilon) ? all(1) : all(0); }
};
struct SubOp : Light2 {
  static EVOLAYER_INLINE Wide of(Wide a, Wide b) { return a - b; }
};
struct FmaOp : Light3 {
  static EVOLAYER_INLINE Wide of(Wide a, Wide b, Wide c) { return a * b + c; }
};
struct FnmaOp : Light3 {
  static EVOLAYER_INLINE Wide of(Wide a, Wide b, Wide c) { return c - a * b; }
};
struct FmsOp : Light3 {
  static EVOLAYER_INLINE Wide of(Wide a, Wide b, Wide c) { return a * b - c; }
};
struct ComplementOp : Light2 {
  static EVOLAYER_INLINE Wide of(Wide a, Wide b) { return a * (1.0f - b); }
};
struct TanhGradientOp : Light2 {
  static EVOLAYER_INLINE Wide of(Wide a, Wide b) { return a * (1.0f - b * b); }
};
struct GateOp : Light3 {
  static EVOLAYER_INLINE Wide of(Wide a, Wide b, Wide c) { return a * StepOp::of(b, c); }
};
struct ReciprocalOp : Light1 {
  static EVOLAYER_INLINE Wide of(Wide a) { return 1.0f / guardOf<kLanes>(a); }
};
struct RootEpsOp : Light1 {
  static EVOLAYER_INLINE Wide of(Wide a) { return root<kLanes>(a + kEpsilon); }
};
struct CopyOp : Light1 {
  static EVOLAYER_INLINE Wide of(Wide a) { return a; }
};

/** The loop of a record whose arguments are slots by the bits of `slots`; null where it is none of the element-wise ones. */
inline Elementwise elementwiseOf(Record code, int slots, int vectors) {
  switch (code) {
    case Record::Add: return loopOf<AddOp>(slots, vectors);
    case Record::Mul: return loopOf<MulOp>(slots, vectors);
    case Record::Div: return loopOf<DivOp>(slots, vectors);
    case Record::Max: return loopOf<MaxOp>(slots, vectors);
    case Record::Neg: return loopOf<NegOp>(slots, vectors);
    case Record::Sigmoid: return loopOf<SigmoidOp>(slots, vectors);
    case Record::Tanh: return loopOf<TanhOp>(slots, vectors);
    case Record::Exp: return loopOf<ExpOp>(slots, vectors);
    case Record::Log: return loopOf<LogOp>(slots, vectors);
    case Record::Abs: return loopOf<AbsOp>(slots, vectors);
    case Record::Square: return loopOf<SquareOp>(slots, vectors);
    case Record::Sqrt: return loopOf<SqrtOp>(slots, vectors);
    case Record::Sign: return loopOf<SignOp>(slots, vectors);
    case Record::Step: return loopOf<StepOp>(slots, vectors);
    case Record::Clear: return loopOf<ClearOp>(slots, vectors);
    case Record::Sub: return loopOf<SubOp>(slots, vectors);
    case Record::Fma: return loopOf<FmaOp>(slots, vectors);
    case Record::Fnma: return loopOf<FnmaOp>(slots, vectors);
    case Record::Fms: return loopOf<FmsOp>(slots, vectors);
    case Record::Complement: return loopOf<ComplementOp>(slots, vectors);
    case Record::TanhGradient: return loopOf<TanhGradientOp>(slots, vectors);
    case Record::Gate: return loopOf<GateOp>(slots, vectors);
    case Record::Reciprocal: return loopOf<ReciprocalOp>(slots, vectors);
    case Record::RootEps: return loopOf<RootEpsOp>(slots, vectors);
    case Record::Copy: return loopOf<CopyOp>(slots, vectors);
    case Record::Sum:
    case Record::Dot:
    case Record::Stats:
    case Record::Moment:
    case Record::Fold:
    case Record::Spread:
    case Record::Gather: return nullptr;
  }
  return nullptr;
}

}  // namespace
}  // namespace evolayer
