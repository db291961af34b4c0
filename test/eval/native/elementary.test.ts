import { describe, expect, it } from 'vitest';
import { ELEMENTWISE_RECORDS } from '../../../src/eval/native/isa.ts';
import { lanesOf, variants } from '../../../src/eval/native/machine.ts';
import { EPSILON, elementwise, guard, isElementwise } from '../../../src/graph/ops.ts';
import { Scene } from './scene.ts';

type Elementwise = (typeof ELEMENTWISE_RECORDS)[number];

/** Where fp32 has its edges, and those of the ops. */
const SPECIAL = [
  ...[0, 1, 0.5, 2, 0.99e-5, 1.01e-5, 1e-3, 0.6249, 0.6251, 9.1, 20, 87, 88.7, 88.8, 104],
  ...[1e3, 1e10, 1e30, 3.4028234663852886e38, 1.2e-38, Infinity],
].flatMap((value) => [value, -value]);
const VALUES = [...SPECIAL, Number.NaN].map(Math.fround);

/** Smaller results count as 0, and so may arguments. */
const SMALLEST = 2 ** -125;

/** In double precision, but a sum with ε is rounded as fp32 rounds it: log feels that near 1, and rootEps near −ε. */
const exactly = (code: Elementwise, a: number, b: number, c: number): number => {
  const plusEpsilon = (value: number) => Math.fround(value + Math.fround(EPSILON));
  if (code === 'log') return Math.sign(a) * Math.log(plusEpsilon(Math.abs(a)));
  if (isElementwise(code)) return elementwise[code].value(a, b);
  switch (code) {
    case 'sub':
      return a - b;
    case 'fma':
      return a * b + c;
    case 'fnma':
      return c - a * b;
    case 'fms':
      return a * b - c;
    case 'complement':
      return a * (1 - b);
    case 'tanhGradient':
      return a * (1 - b * b);
    case 'gate':
      return a * elementwise.step.value(b, c);
    case 'reciprocal':
      return 1 / guard(a);
    case 'rootEps':
      return Math.sqrt(plusEpsilon(a));
    case 'copy':
      return a;
  }
};

/** Distance between neighbouring fp32 numbers at `value`. */
const ulp = (value: number): number =>
  Math.max(2 ** -149, 2 ** (Math.floor(Math.log2(Math.abs(value))) - 23));

/** Error in ulp; 0 for what is right, NaN, infinite or too small to tell. */
function errorOf(got: number, exact: number): number {
  const want = Math.fround(exact);
  if (Object.is(got, want) || got === want) return 0;
  if (Math.abs(want) < SMALLEST && Math.abs(got) < SMALLEST) return 0;
  if (!Number.isFinite(want) || !Number.isFinite(got)) {
    // On the edge of overflow either is right.
    const edge = Math.abs(exact) > 3.4028e38 && Math.abs(exact) < 3.4029e38;
    return edge ? 0 : Infinity;
  }
  return Math.abs(got - exact) / ulp(exact);
}

describe.each(variants())('arithmetic of %s kernels', (variant) => {
  /** code(a, b, c), element by element. */
  function compute(code: Elementwise, a: Float32Array, b = a, c = a): Float32Array {
    const scene = new Scene(1);
    // Pixels in rows of 100, for a width has its limits.
    const rows = Math.ceil(a.length / 100);
    const tensors = [a, b, c, a].map(() => scene.tensor(rows, 100, 1));
    const contents = scene.contents(1);
    for (const [i, values] of [a, b, c].entries()) contents.set(values, tensors[i]!.offset);
    const after = scene.run(variant, contents, (writer) => {
      writer.begin('sweep');
      for (const word of [rows, 100, 1, lanesOf(variant), 333, 0, 0, 0, 4]) writer.word(word);
      for (const t of tensors) writer.tensor(t);
      for (const word of [1, 0, 1, 0]) writer.word(word);
      const operands = [0, 1, 2].map((at) => ({ kind: 'tensor', at }) as const);
      writer.record(code, { kind: 'tensor', at: 3 }, operands);
      writer.end();
    });
    return after.slice(tensors[3]!.offset, tensors[3]!.offset + a.length);
  }

  function expectWithin(code: Elementwise, limit: number, a: Float32Array, b = a, c = a): void {
    const got = compute(code, a, b, c);
    for (const [i, value] of got.entries()) {
      const exact = exactly(code, a[i]!, b[i]!, c[i]!);
      const error = errorOf(value, exact);
      if (!(error <= limit))
        expect.fail(`${code}(${a[i]}, ${b[i]}, ${c[i]}) is ${value}, not ${exact}: ${error} ulp`);
    }
  }

  const triples = VALUES.flatMap((a) =>
    VALUES.flatMap((b) => [1, -0.3, Infinity, Number.NaN].map((c) => [a, b, c] as const)),
  );
  const column = (k: 0 | 1 | 2) => Float32Array.from(triples, (triple) => triple[k]);

  it.each(ELEMENTWISE_RECORDS)('%s of zeros, infinities, NaN and the edges between', (code) => {
    // A sum of products is rounded twice where the CPU has no fused one, and may overflow on the way.
    const overflows = (product: number) => Math.abs(product) > 1e30 && Math.abs(product) < Infinity;
    const sound = triples.filter(
      ([a, b]) =>
        !(['fma', 'fnma', 'fms'].includes(code) && overflows(a * b)) &&
        !(code === 'tanhGradient' && overflows(b * b)),
    );
    const pick = (k: 0 | 1 | 2) => Float32Array.from(sound, (triple) => triple[k]);
    const limit = ['fma', 'fnma', 'fms', 'tanhGradient'].includes(code) ? 3e7 : 4;
    expectWithin(code, limit, pick(0), pick(1), pick(2));
  });

  it.each([
    ['exp', 2, -87, 88.7],
    ['exp', 2, -1, 1],
    ['sigmoid', 3, -80, 80],
    ['sigmoid', 3, -2, 2],
    ['tanh', 3, -10, 10],
    ['tanh', 3, -0.7, 0.7],
    ['tanh', 3, -1e-3, 1e-3],
    ['log', 3, -1e4, 1e4],
    ['log', 3, -2, 2],
    ['log', 3, -1e-4, 1e-4],
    ['sqrt', 1.5, -100, 100],
    ['sqrt', 1.5, -1e-4, 1e-4],
    ['div', 1, -3, 3],
    ['reciprocal', 1, -3, 3],
    ['rootEps', 1.5, 0, 10],
  ] as const)('%s is within %d ulp from %d to %d', (code, limit, from, to) => {
    const count = 40_000;
    const a = Float32Array.from(
      { length: count },
      (_, i) => from + ((to - from) * i) / (count - 1),
    );
    expectWithin(code, limit, a, Float32Array.from(a).reverse());
  });

  it('max passes NaN on from either side', () => {
    const got = compute('max', column(0), column(1));
    for (const [i, [a, b]] of triples.entries())
      if (Number.isNaN(a) || Number.isNaN(b)) expect(got[i]).toBeNaN();
  });

  it('tanh of what is far from 0 is ±1 to the last bit, for 1 − tanh² is multiplied by large gradients', () => {
    const a = Float32Array.from({ length: 10_000 }, (_, i) => 9.02 + (i / 100) ** 3);
    expect(new Set(compute('tanh', a))).toEqual(new Set([1]));
    expect(
      new Set(
        compute(
          'tanh',
          a.map((value) => -value),
        ),
      ),
    ).toEqual(new Set([-1]));
  });

  it('exp overflows to infinity and underflows to zero', () => {
    const got = compute('exp', Float32Array.of(88.8, 1e4, Infinity, -104, -1e4, -Infinity));
    expect([...got]).toEqual([Infinity, Infinity, Infinity, 0, 0, 0]);
  });
});
