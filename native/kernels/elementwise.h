// The element-wise records: dst = code(a, b, c) over a run of floats, in which a slot (the channel vector,
// repeated over one period) is read again and again.
#pragma once
#include "../isa.h"
#include "math.h"

namespace evolayer {
namespace {

using Wide = Float<kLanes>;

struct Source {
  const float* base;
  /** Floats from one period to the next: the period, or 0 for a slot. */
  int64_t step;
};

/** What one record works on now. */
struct Run {
  float* dst;
  Source a, b, c;
  int count, period;
  /** Nothing may be written behind `count` floats; elsewhere the last vector is written whole. */
  bool exact;
};

using Elementwise = void (*)(const Run&);

/** Op::of on U vectors whose operands stand `step` floats apart; all loads before the stores, for dst may be an operand. */
template <class Op, int U>
EVOLAYER_INLINE void apply(float* dst, const float* a, int64_t sa, const float* b, int64_t sb, const float* c,
                           int64_t sc) {
  Wide result[U];
  repeat<U>([&](auto u) EVOLAYER_LAMBDA {
    if constexpr (Op::kArity == 1)
      result[u] = Op::of(load<kLanes>(a + u * sa));
    else if constexpr (Op::kArity == 2)
      result[u] = Op::of(load<kLanes>(a + u * sa), load<kLanes>(b + u * sb));
    else
      result[u] = Op::of(load<kLanes>(a + u * sa), load<kLanes>(b + u * sb), load<kLanes>(c + u * sc));
  });
  repeat<U>([&](auto u) EVOLAYER_LAMBDA { store<kLanes>(dst + u * kLanes, result[u]); });
}

template <class Op>
constexpr int kUnroll = Op::kHeavy ? (kRegisters == 32 ? 4 : 1) : 4;

/** The last, broken vector. */
template <class Op>
EVOLAYER_INLINE void applyTail(float* dst, const float* a, const float* b, const float* c, int n, bool exact) {
  if (!exact) return apply<Op, 1>(dst, a, 0, b, 0, c, 0);
  float last[kLanes];
  apply<Op, 1>(last, a, 0, b, 0, c, 0);
  storeFirst<kLanes>(dst, load<kLanes>(last), n);
}

/** Every operand moves by its own step per vector: no slots, or slots of one vector. */
template <class Op>
EVOLAYER_INLINE void flat(const Run& run, int64_t sa, int64_t sb, int64_t sc) {
  constexpr int U = kUnroll<Op>;
  float* dst = run.dst;
  const float *a = run.a.base, *b = run.b.base, *c = run.c.base;
  int left = run.count;
  for (; left >= U * kLanes; left -= U * kLanes) {
    apply<Op, U>(dst, a, sa, b, sb, c, sc);
    dst += U * kLanes;
    a += U * sa;
    b += U * sb;
    c += U * sc;
  }
  for (; left >= kLanes; left -= kLanes, dst += kLanes, a += sa, b += sb, c += sc)
    apply<Op, 1>(dst, a, 0, b, 0, c, 0);
  if (left > 0) applyTail<Op>(dst, a, b, c, left, run.exact);
}

/** One period, of which `left` floats count. */
template <class Op, int U>
EVOLAYER_INLINE void withinPeriod(float* dst, const float* a, const float* b, const float* c, int left, bool exact) {
  int i = 0;
  for (; i + U * kLanes <= left; i += U * kLanes)
    apply<Op, U>(dst + i, a + i, kLanes, b + i, kLanes, c + i, kLanes);
  for (; i + kLanes <= left; i += kLanes) apply<Op, 1>(dst + i, a + i, 0, b + i, 0, c + i, 0);
  if (i < left) applyTail<Op>(dst + i, a + i, b + i, c + i, left - i, exact);
}

template <class Op, int U>
EVOLAYER_INLINE void periodic(const Run& run) {
  float* dst = run.dst;
  const float *a = run.a.base, *b = run.b.base, *c = run.c.base;
  for (int left = run.count; left > 0; left -= run.period) {
    withinPeriod<Op, U>(dst, a, b, c, left < run.period ? left : run.period, run.exact);
    dst += run.period;
    a += run.a.step;
    b += run.b.step;
    c += run.c.step;
  }
}

template <class Op>
void elementwise(const Run& run) {
  const bool slots = run.a.step == 0 || (Op::kArity > 1 && run.b.step == 0) || (Op::kArity > 2 && run.c.step == 0);
  const auto step = [](const Source& s) { return s.step == 0 ? 0 : int64_t(kLanes); };
  if (!slots || run.period == kLanes) return flat<Op>(run, step(run.a), step(run.b), step(run.c));
  if (kUnroll<Op> == 1 || run.period % (2 * kLanes) != 0) return periodic<Op, 1>(run);
  if (run.period % (4 * kLanes) != 0) return periodic<Op, 2>(run);
  periodic<Op, 4>(run);
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
struct ReciprocalOp : Light1 {
  static EVOLAYER_INLINE Wide of(Wide a) { return 1.0f / guardOf<kLanes>(a); }
};
struct RootEpsOp : Light1 {
  static EVOLAYER_INLINE Wide of(Wide a) { return root<kLanes>(a + kEpsilon); }
};
struct CopyOp : Light1 {
  static EVOLAYER_INLINE Wide of(Wide a) { return a; }
};

/** Null where the record is none of the element-wise ones. */
inline Elementwise elementwiseOf(Record code) {
  switch (code) {
    case Record::Add: return elementwise<AddOp>;
    case Record::Mul: return elementwise<MulOp>;
    case Record::Div: return elementwise<DivOp>;
    case Record::Max: return elementwise<MaxOp>;
    case Record::Neg: return elementwise<NegOp>;
    case Record::Sigmoid: return elementwise<SigmoidOp>;
    case Record::Tanh: return elementwise<TanhOp>;
    case Record::Exp: return elementwise<ExpOp>;
    case Record::Log: return elementwise<LogOp>;
    case Record::Abs: return elementwise<AbsOp>;
    case Record::Square: return elementwise<SquareOp>;
    case Record::Sqrt: return elementwise<SqrtOp>;
    case Record::Sign: return elementwise<SignOp>;
    case Record::Step: return elementwise<StepOp>;
    case Record::Clear: return elementwise<ClearOp>;
    case Record::Sub: return elementwise<SubOp>;
    case Record::Fma: return elementwise<FmaOp>;
    case Record::Fnma: return elementwise<FnmaOp>;
    case Record::Reciprocal: return elementwise<ReciprocalOp>;
    case Record::RootEps: return elementwise<RootEpsOp>;
    case Record::Copy: return elementwise<CopyOp>;
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
