import { type Extent, type IndexSet, reduce } from './extent.ts';
import type { Value } from './graph.ts';

/** Keeps divisions, logarithms and roots away from zero. */
export const EPSILON = 1e-5;

export type ElementwiseName =
  | 'add'
  | 'mul'
  | 'div'
  | 'max'
  | 'neg'
  | 'sigmoid'
  | 'tanh'
  | 'exp'
  | 'log'
  | 'abs'
  | 'square'
  | 'sqrt';
export type MomentName = 'mean' | 'rms' | 'std';
/** The primitives that genomes are made of. */
export type OpName = ElementwiseName | MomentName;
/** Step functions that only adjoint graphs contain; their own derivative is zero almost everywhere. */
export type AuxiliaryName = 'sign' | 'step' | 'clear';

/** Where tests draw arguments from: a range, and the points at which the derivative jumps. */
export interface Samples {
  readonly min: number;
  readonly max: number;
  /** True where a difference quotient at these arguments would straddle a kink. */
  readonly nearKink?: (...args: number[]) => boolean;
}

export interface ElementwiseOp {
  readonly arity: 1 | 2;
  readonly doc: string;
  /** True where the order of the two arguments does not matter. */
  readonly commutative?: boolean;
  readonly value: (a: number, b: number) => number;
  /** One gradient per argument, given the arguments, the output and the gradient of the output. */
  readonly adjoint: (at: { args: readonly Value[]; out: Value; grad: Value }) => readonly Value[];
  readonly samples: Samples;
}

const unary = (
  doc: string,
  value: (a: number) => number,
  adjoint: (a: Value, out: Value, grad: Value) => Value,
  samples: Samples,
): ElementwiseOp => ({
  arity: 1,
  doc,
  value,
  adjoint: ({ args: [a], out, grad }) => [adjoint(a as Value, out, grad)],
  samples,
});

const binary = (
  doc: string,
  value: (a: number, b: number) => number,
  adjoint: (a: Value, b: Value, out: Value, grad: Value) => readonly [Value, Value],
  samples: Samples,
  commutative = false,
): ElementwiseOp => ({
  arity: 2,
  doc,
  commutative,
  value,
  adjoint: ({ args: [a, b], out, grad }) => adjoint(a as Value, b as Value, out, grad),
  samples,
});

const flat = (
  arity: 1 | 2,
  doc: string,
  value: (a: number, b: number) => number,
): ElementwiseOp => ({
  arity,
  doc,
  value,
  adjoint: () => {
    throw new Error('internal: adjoint graphs are not differentiated again');
  },
  samples: reals,
});

const reals: Samples = { min: -4, max: 4 };
const awayFromZero: Samples = { ...reals, nearKink: (a) => Math.abs(a) < 1e-3 };

/** Division that never overflows for small denominators: b below ε in magnitude counts as ε with b's sign. NaN stays NaN. */
export const guard = (b: number): number =>
  Math.abs(b) < EPSILON ? (b < 0 ? -EPSILON : EPSILON) : b;

/** √(a + ε): what turns a mean square into `rms`, and a variance into `std`. */
export const rootEps = (a: number): number => Math.sqrt(a + EPSILON);

/** The element-wise ops, a paragraph each. NaN propagates through all primitives. */
export const elementwise: Record<ElementwiseName | AuxiliaryName, ElementwiseOp> = {
  add: binary(
    'a + b',
    (a, b) => a + b,
    (_a, _b, _out, grad) => [grad, grad],
    reals,
    true,
  ),

  mul: binary(
    'a · b',
    (a, b) => a * b,
    (a, b, _out, grad) => [grad.mul(b), grad.mul(a)],
    reals,
    true,
  ),

  div: binary(
    "a / b', where b' is b, or ±ε with b's sign where |b| < ε (+ε at 0)",
    (a, b) => a / guard(b),
    // The guarded denominator is constant where |b| < ε, so nothing flows to b there.
    (_a, b, out, grad) => [grad.div(b), grad.mul(out).div(b).mul(b.clear()).neg()],
    { ...reals, nearKink: (_a, b = 0) => Math.abs(Math.abs(b) - EPSILON) < 1e-3 },
  ),

  max: binary(
    'the greater of a and b',
    Math.max,
    // step gives each side half of the gradient at a tie, as PyTorch and JAX do.
    (a, b, _out, grad) => [grad.mul(a.step(b)), grad.mul(b.step(a))],
    { ...reals, nearKink: (a, b = 0) => Math.abs(a - b) < 1e-3 },
    true,
  ),

  neg: unary(
    '−a',
    (a) => -a,
    (_a, _out, grad) => grad.neg(),
    reals,
  ),

  sigmoid: unary(
    '1 / (1 + e^−a)',
    (a) => 1 / (1 + Math.exp(-a)),
    (_a, out, grad) => grad.mul(out).mul(out.neg().plus(1)),
    reals,
  ),

  tanh: unary('tanh a', Math.tanh, (_a, out, grad) => grad.mul(out.square().neg().plus(1)), reals),

  exp: unary('e^a', Math.exp, (_a, out, grad) => grad.mul(out), reals),

  log: unary(
    'sign(a)·ln(|a| + ε)',
    (a) => Math.sign(a) * Math.log(Math.abs(a) + EPSILON),
    // sign² switches the derivative off at exactly 0.
    (a, _out, grad) => grad.mul(a.sign().square()).div(a.abs().plus(EPSILON)),
    awayFromZero,
  ),

  abs: unary('|a|', Math.abs, (a, _out, grad) => grad.mul(a.sign()), awayFromZero),

  square: unary(
    'a²',
    (a) => a * a,
    (a, _out, grad) => grad.mul(a).times(2),
    reals,
  ),

  sqrt: unary(
    'sign(a)·√(|a| + ε)',
    (a) => Math.sign(a) * Math.sqrt(Math.abs(a) + EPSILON),
    // sign(a) / out = 1 / √(|a| + ε), and 0 at exactly 0.
    (a, out, grad) => grad.mul(a.sign()).div(out.times(2)),
    awayFromZero,
  ),

  sign: flat(1, '−1, 0 or 1, by the sign of a', Math.sign),
  step: flat(2, '1 where a > b, ½ where a = b, 0 elsewhere', (a, b) =>
    a > b ? 1 : a === b ? 0.5 : 0,
  ),
  clear: flat(1, '1 where |a| ≥ ε, 0 elsewhere', (a) => (Math.abs(a) >= EPSILON ? 1 : 0)),
};

export interface MomentOp {
  readonly doc: string;
  /** The moment of n values from their mean and their mean square about the mean (the biased variance). */
  readonly value: (mean: number, variance: number) => number;
  /** What a moving statistic of this moment averages over steps, from the same two numbers. */
  readonly statistic: (mean: number, variance: number) => number;
  /** The moment from its moving statistic. */
  readonly fromStatistic: (statistic: number) => number;
  /** Where the moving statistic starts. */
  readonly initialStatistic: number;
  /** The gradient of the argument `a`, of the form α + β·a, from the gradient of the moment. */
  readonly adjoint: (at: { a: Value; out: Value; grad: Value; index: IndexSet }) => Value;
}

/** The gradient of the moment, shared out over the elements it was taken from. */
const share = (grad: Value, a: Value, index: IndexSet): Value =>
  grad.mul(grad.builder.perElement(a.extent, reduce(a.extent, index)));

/** The moments; each is taken over an index set, and a value's extent loses those axes. */
export const moments: Record<MomentName, MomentOp> = {
  mean: {
    doc: 'mean over the index set',
    value: (mean) => mean,
    statistic: (mean) => mean,
    fromStatistic: (mean) => mean,
    initialStatistic: 0,
    adjoint: ({ a, grad, index }) => share(grad, a, index),
  },
  rms: {
    doc: '√(mean of a² + ε) over the index set',
    value: (mean, variance) => rootEps(mean * mean + variance),
    statistic: (mean, variance) => mean * mean + variance,
    fromStatistic: rootEps,
    initialStatistic: 1,
    // rms ≥ √ε > ε, so the guard of div is idle.
    adjoint: ({ a, out, grad, index }) => share(grad, a, index).div(out).mul(a),
  },
  std: {
    doc: '√(biased variance + ε) over the index set',
    value: (_mean, variance) => rootEps(variance),
    statistic: (_mean, variance) => variance,
    fromStatistic: rootEps,
    initialStatistic: 1,
    adjoint: ({ a, out, grad, index }) =>
      share(grad, a, index)
        .div(out)
        .mul(a.sub(a.builder.moment('mean', index, a))),
  },
};

export const ELEMENTWISE_NAMES: readonly ElementwiseName[] = [
  'add',
  'mul',
  'div',
  'max',
  'neg',
  'sigmoid',
  'tanh',
  'exp',
  'log',
  'abs',
  'square',
  'sqrt',
];
export const MOMENT_NAMES: readonly MomentName[] = ['mean', 'rms', 'std'];
export const OP_NAMES: readonly OpName[] = [...ELEMENTWISE_NAMES, ...MOMENT_NAMES];

export const isMoment = (op: string): op is MomentName => Object.hasOwn(moments, op);
export const isElementwise = (op: string): op is ElementwiseName | AuxiliaryName =>
  Object.hasOwn(elementwise, op);

/** True for a moment that at inference reads moving statistics: it ranges over the batch, of a value that varies over it. */
export const needsMovingStatistics = (index: IndexSet, argument: Extent): boolean =>
  index === 'bwh' && argument.includes('b');
