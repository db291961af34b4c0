import { describe, expect, it } from 'vitest';
import { variants } from '../../../src/eval/native/machine.ts';
import { randomStream } from '../../../src/eval/random.ts';
import { INDEX_SETS } from '../../../src/graph/extent.ts';
import { trainLayer } from '../../../src/graph/interpreter.ts';
import { isMoment, OP_NAMES } from '../../../src/graph/ops.ts';
import { parseLayer } from '../../../src/graph/text.ts';
import { backendOf } from './backend.ts';
import { randomArrays, SHAPES } from './compare.ts';
import { runLayer } from './layer-harness.ts';

const FAR = { mean: 1000, deviation: 0.1 };

const MOMENTS = OP_NAMES.filter(isMoment).flatMap((op) =>
  INDEX_SETS.map((index) => ({ name: `${op}[${index}]` })),
);

/** The distance of two fp32 numbers between 512 and 1024. */
const ULP = 2 ** -14;

/**
 * γ = 1 and β = 0, so that y is the moment itself. A mean or a root mean square, about 1000, may be off by the
 * rounding of the result; a deviation, about 0.1, by a millionth and what its ε tells.
 */
const allowedError = (name: string, want: number): number =>
  name.startsWith('std') ? 2e-6 * want : ULP;

describe.each(variants())('data with mean 1000 and deviation 0.1 on %s kernels', (variant) => {
  const backend = backendOf(variant);

  it.each(MOMENTS)('$name and its gradient equal fp64', ({ name }) => {
    const layer = parseLayer(`${name}(x)`);
    for (const [seed, shape] of SHAPES.entries()) {
      const drawn = randomArrays(shape, randomStream('far', seed), FAR);
      const arrays = { ...drawn, gamma: drawn.gamma.fill(1), beta: drawn.beta.fill(0) };
      const want = trainLayer(layer, shape, arrays);
      const got = runLayer(layer, shape, arrays, backend.lanes, backend.machine);
      for (const [i, value] of want.y.entries())
        expect(Math.abs(got.y[i]! - value)).toBeLessThanOrEqual(allowedError(name, value));
      // The gradient of a deviation has x − mean for a factor, which is only known to the rounding of the mean.
      const largest = Math.max(...want.dx.map(Math.abs));
      for (const [i, value] of want.dx.entries())
        expect(Math.abs(got.dx[i]! - value)).toBeLessThanOrEqual(2e-3 * largest + 1e-6);
    }
  });
});

describe.each(variants())('channels of very different size on %s kernels', (variant) => {
  it('keep variances of their own', () => {
    const shape = { batch: 2, height: 3, width: 3, channels: 20, groups: 2 };
    const drawn = randomArrays(shape, randomStream('far', 1));
    const arrays = { ...drawn, x: drawn.x.map((x, i) => (x + 2) * (i % 20 === 0 ? 3e9 : 1)) };
    const backend = backendOf(variant);
    for (const op of ['mean', 'rms', 'std'])
      for (const index of ['bwh', 'wh']) {
        const layer = parseLayer(`${op}[${index}](x)`);
        const want = trainLayer(layer, shape, arrays);
        const got = runLayer(layer, shape, arrays, backend.lanes, backend.machine);
        for (const [i, value] of want.y.entries())
          expect(Math.abs(got.y[i]! / value - 1)).toBeLessThan(1e-4);
      }
  });
});
