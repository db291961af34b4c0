import fc from 'fast-check';
import { describe, expect, it, vi } from 'vitest';
import type { LoadedBackend } from '../../../src/eval/tfjs/backends.ts';
import { TfjsLayer } from '../../../src/eval/tfjs/layer.ts';
import { axesOf } from '../../../src/eval/tfjs/lower.ts';
import { movingMoments } from '../../../src/graph/adjoint.ts';
import { FULL } from '../../../src/graph/extent.ts';
import { layerOf } from '../../../src/graph/genome.ts';
import type { LayerGraph } from '../../../src/graph/graph.ts';
import { ELEMENTWISE_NAMES, EPSILON, moments, OP_NAMES } from '../../../src/graph/ops.ts';
import { parseLayer } from '../../../src/graph/text.ts';
import { ZOO } from '../../../src/graph/zoo.ts';
import { genomes } from '../../graph/arbitrary.ts';
import { type Case, caseOf, expectResults, type Results } from '../native/compare.ts';
import { cases, loadedFor, TESTED } from './backends.ts';

const TOLERANCES = { output: 1e-4, gradient: 1e-3 };
const PARAMETERS = ['v0', 'v1', 'gamma', 'beta'] as const;

type Tf = LoadedBackend['tf'];
type Tensor = ReturnType<Tf['tensor']>;

vi.setConfig({ testTimeout: 120_000 });

describe.each(TESTED)('layers on TensorFlow.js, %s', (backend) => {
  const loaded = loadedFor(backend);

  const compare = async (
    layer: LayerGraph,
    seed: number,
    distribution?: Parameters<typeof caseOf>[2],
  ) => {
    const one = caseOf(layer, seed, distribution);
    expectResults(one, await run(loaded(), one), TOLERANCES);
  };

  it.each(ZOO)('$name: forward, backward and inference equal fp64', async ({ layer }) => {
    for (let seed = 0; seed < cases(2, 7); seed++) await compare(layer, seed);
  });

  it.each(OP_NAMES)('op %s equals fp64', async (op) => {
    await fc.assert(
      fc.asyncProperty(genomes({ maxNodes: 2, ops: [op, 'mul'] }), fc.nat(), (genome, seed) =>
        compare(layerOf(genome), seed),
      ),
      { numRuns: cases(4, 16) },
    );
  });

  it('random graphs equal fp64', async () => {
    await fc.assert(
      fc.asyncProperty(genomes(), fc.nat(), (genome, seed) => compare(layerOf(genome), seed)),
      { numRuns: cases(10, 100) },
    );
  }, 600_000);

  it('the variance of data far from zero is right', async () => {
    const layer = parseLayer('(x - mean[bwh](x)) / std[bwh](x) + x / std[whc/g](x) * std[wh](x)');
    await compare(layer, 0, { mean: 1000, deviation: 0.1 });
  });

  it('gradients at ties and at zero are those of the op table', async () => {
    const one = caseOf(parseLayer('max(x, 0) + abs(x) + log(x) + sqrt(x) + x / x'), 0);
    one.arrays.x.fill(0);
    one.arrays.dy.fill(1);
    const { dx } = await run(loaded(), one);
    // Half of the maximum's, nothing of the three at exactly 0, and 1/ε of the quotient, whose denominator is constant.
    const scale = one.shape.channels;
    for (const [i, d] of dx.entries())
      expect(d / one.arrays.gamma[i % scale]!).toBeCloseTo(0.5 + 1e5, -1);
  });

  it('the smallest numbers have a sign', async () => {
    const one = caseOf(parseLayer('sqrt(x) + v0 * abs(x)'), 0);
    const { x, gamma, beta } = one.arrays;
    const small = [1e-7, 1e-10, 1e-20, 1e-30];
    for (const i of x.keys()) x[i] = (i % 2 === 0 ? 1 : -1) * small[i % small.length]!;
    const { y } = await run(loaded(), one);
    for (const [i, value] of y.entries()) {
      const channel = i % gamma.length;
      const root = Math.sign(x[i]!) * Math.sqrt(Math.abs(x[i]!) + EPSILON);
      expect(value).toBeCloseTo(gamma[channel]! * root + beta[channel]!, 5);
    }
  });

  it.each(ELEMENTWISE_NAMES)('%s carries NaN on, from whichever argument', async (op) => {
    for (const text of [nanIn(op, 0), nanIn(op, 1)]) {
      const one = caseOf(parseLayer(text), 0);
      one.arrays.x[5] = Number.NaN;
      const { y } = await run(loaded(), one);
      expect(y[5], text).toBeNaN();
      expect(y[6], text).not.toBeNaN();
    }
  });
});

/** A formula with x as that argument of the operation, where it takes two. */
function nanIn(op: string, argument: number): string {
  const infix = { add: '+', mul: '*', div: '/' }[op];
  const args = argument === 0 ? ['x', 'v1'] : ['v1', 'x'];
  if (infix) return args.join(` ${infix} `);
  return op === 'max' ? `max(${args.join(', ')})` : op === 'neg' ? '-x' : `${op}(x)`;
}

/** Forward, backward, one step of moving statistics with decay 0.9, and inference with these. */
async function run(tf: Tf, { layer, shape, arrays }: Case): Promise<Results> {
  const whole = axesOf(FULL, shape);
  const out = tf.tidy(() => {
    const image = (values: Float64Array) => tf.tensor4d(Float32Array.from(values), whole);
    const weights = Object.fromEntries(
      PARAMETERS.map((name) => [name, tf.tensor1d(Float32Array.from(arrays[name]))]),
    );
    const compiled = new TfjsLayer(tf, layer);
    const x = image(arrays.x);
    const step = compiled.forward(x, weights, shape);
    const moving = step.statistics().map((batch, slot) => {
      const { initialStatistic } = moments[movingMoments(layer)[slot]!.op];
      return tf.add(tf.mul(batch, 0.1), 0.9 * initialStatistic) as Tensor;
    });
    const { dx, own } = step.backward(image(arrays.dy), PARAMETERS);
    const inferred = compiled.infer(x, weights, moving, shape);
    const named = Object.fromEntries(PARAMETERS.map((name, i) => [`d${name}`, own[i]!]));
    return { y: step.y, dx, inferred, ...named };
  });
  const read = Object.entries(out).map(async ([name, tensor]) => {
    const values = Float64Array.from(await tensor.data());
    return [name, values] as const;
  });
  const results = Object.fromEntries(await Promise.all(read));
  tf.dispose(out);
  return results as unknown as Results;
}
