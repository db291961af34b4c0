import {
  type AuxiliaryName,
  type ElementwiseName,
  elementwise,
  type MomentName,
  moments,
} from './ops.ts';

/**
 * Computes the `size` entries of a node at `out` of `memory` from its arguments at `a` and `b`, whose
 * entries for entry i are ia[i] and ib[i] where these are not the i-th. Sums below `floor` times their
 * terms are 0. Every result is multiplied by a factor: entry i by factors[(shift + i) mod 256].
 */
export type Kernel = (
  memory: Float64Array,
  out: number,
  size: number,
  a: number,
  b: number,
  ia: Int32Array,
  ib: Int32Array,
  floor: number,
  factors: Float64Array,
  shift: number,
) => void;

/** How a loop reaches its arguments: entry by entry where they have the extent of the result. */
const ACCESS = {
  one: 'm[a + i]',
  two: 'm[a + i], m[b + i]',
  gather: 'm[a + ia[i]], m[b + ib[i]]',
};

type Name = ElementwiseName | AuxiliaryName;
type Access = keyof typeof ACCESS;

const loops: Record<Access, Partial<Record<Name, Kernel>>> = { one: {}, two: {}, gather: {} };

/**
 * The loop of an op around the op table's own formula. Every loop is a function of its own, made from
 * text, because V8 inlines a formula only where a loop has seen no other: one loop shared by all ops
 * calls the formula for every element, which takes several times as long.
 */
export function loopOf(op: Name, access: Access): Kernel {
  loops[access][op] ??= makeLoop(op, access);
  return loops[access][op];
}

function makeLoop(op: Name, access: Access): Kernel {
  const formula = clear[op];
  const args = formula ? `${ACCESS[access]}, floor` : ACCESS[access];
  const body = `for (let i = 0; i < n; i++) m[out + i] = formula(${args}) * f[(shift + i) & 255];`;
  const make = new Function(
    'formula',
    `return (m, out, n, a, b, ia, ib, floor, f, shift) => { ${body} };`,
  );
  return make(formula ?? elementwise[op].value) as Kernel;
}

/** The ops that turn noise into something else than noise, with less than `floor` times an argument taken for nothing. */
const clear: Partial<Record<Name, (a: number, b: number, floor: number) => number>> = {
  add: (a, b, floor) => {
    const sum = elementwise.add.value(a, b);
    return Math.abs(sum) < floor * Math.abs(a) ? 0 : sum;
  },
  step: (a, b, floor) =>
    Math.abs(a - b) < floor * Math.abs(a) ? 0.5 : elementwise.step.value(a, b),
};

/** Σ, the argument's entry ia[i] added to entry ib[i] of the result; `times` as often as it stands there. */
export const sumLoop: Kernel = (m, out, size, a, times, ia, ib, floor, factors, shift) => {
  const greatest = scratch(0, size);
  m.fill(0, out, out + size);
  for (let i = 0; i < ib.length; i++) {
    const v = m[a + ia[i]!]!;
    const j = ib[i]!;
    m[out + j]! += v;
    if (Math.abs(v) > greatest[j]!) greatest[j] = Math.abs(v);
  }
  for (let j = 0; j < size; j++) {
    const sum = m[out + j]!;
    const clear = Math.abs(sum) < floor * greatest[j]! ? 0 : sum;
    m[out + j] = clear * times * factors[(shift + j) & 255]!;
  }
};

const momentLoop = (name: MomentName): Kernel => {
  const { value } = moments[name];
  return (m, out, size, a, _b, ia, _ib, floor, factors, shift) => {
    const [mean, variance] = [scratch(2, size), scratch(3, size)];
    momentsInto({ mean, variance }, m, a, ia, size, floor);
    for (let j = 0; j < size; j++)
      m[out + j] = value(mean[j]!, variance[j]!) * factors[(shift + j) & 255]!;
  };
};

export const momentLoops: Readonly<Record<MomentName, Kernel>> = {
  mean: momentLoop('mean'),
  rms: momentLoop('rms'),
  std: momentLoop('std'),
};

/**
 * Mean and biased variance of the values from `a` on, by the cells that `cells` says they are in. Two
 * passes; the second one also takes out what rounding left of the first mean, so that a large offset
 * costs no digits. `mean` and `variance` have zeros before.
 */
export function momentsInto(
  { mean, variance }: { readonly mean: Float64Array; readonly variance: Float64Array },
  m: Float64Array,
  a: number,
  cells: Int32Array,
  size: number,
  floor: number,
): void {
  const count = cells.length / size;
  const [residue, greatest] = [scratch(0, size), scratch(1, size)];
  for (let i = 0; i < cells.length; i++) {
    const v = m[a + i]!;
    const j = cells[i]!;
    mean[j]! += v;
    if (Math.abs(v) > greatest[j]!) greatest[j] = Math.abs(v);
  }
  for (let j = 0; j < size; j++) mean[j]! /= count;
  for (let i = 0; i < cells.length; i++) {
    const j = cells[i]!;
    const d = m[a + i]! - mean[j]!;
    residue[j]! += d;
    variance[j]! += d * d;
  }
  for (let j = 0; j < size; j++) {
    const r = residue[j]! / count;
    if (Number.isFinite(r)) mean[j]! += r;
    const v = Math.max(variance[j]! / count - r * r, 0);
    const least = floor * greatest[j]!;
    if (Math.abs(mean[j]!) < least) mean[j] = 0;
    variance[j] = v < least * least ? 0 : v;
  }
}

const buffers = [0, 1, 2, 3].map(() => new Float64Array(64));

/** Zeros, until the same scratch is taken again. */
function scratch(which: 0 | 1 | 2 | 3, size: number): Float64Array {
  if (buffers[which]!.length < size) buffers[which] = new Float64Array(2 * size);
  return buffers[which]!.fill(0, 0, size);
}
