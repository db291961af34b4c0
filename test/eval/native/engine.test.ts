import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { Engine, TrainingSetup } from '../../../src/eval/engine.ts';
import { initialParameters } from '../../../src/eval/initial.ts';
import { nativeEngine } from '../../../src/eval/native/engine.ts';
import { variants } from '../../../src/eval/native/machine.ts';
import { parameterLayout } from '../../../src/eval/network.ts';
import { referenceEngine } from '../../../src/eval/reference.ts';
import { resnet } from '../../../src/eval/resnet.ts';
import { layerOf } from '../../../src/graph/genome.ts';
import type { LayerGraph } from '../../../src/graph/graph.ts';
import { OP_NAMES } from '../../../src/graph/ops.ts';
import { parseLayer } from '../../../src/graph/text.ts';
import { ZOO } from '../../../src/graph/zoo.ts';
import { genomes } from '../../graph/arbitrary.ts';
import { backendOf } from './backend.ts';
import { batchOf } from './batch.ts';
import { compareWithInterpreter } from './compare.ts';
import { runs } from './runs.ts';

const TOLERANCES = { output: 1e-4, gradient: 1e-3 };

const SETUP: TrainingSetup = {
  batch: 6,
  groups: 4,
  movingDecay: 0.9,
  momentum: 0.9,
  weightDecay: 1e-3,
};

/** Odd sizes on purpose: channels of 6 and 12, images of 9×7 that halve to 5×4 and 3×2, two grey levels. */
const NETWORK = resnet({
  name: 'test',
  image: { height: 9, width: 7, channels: 2 },
  classes: 5,
  width: 6,
  stages: [1, 2, 1],
  expansion: 2,
});

function sessionOf(engine: Engine, layer: LayerGraph, seed = 'a', setup = SETUP) {
  const session = engine.open(NETWORK, layer, setup);
  session.load(initialParameters(NETWORK, layer, seed));
  return session;
}

const named = (name: string): LayerGraph => ZOO.find((entry) => entry.name === name)!.layer;

describe.each(variants())('native engine, %s kernels', (variant) => {
  const backend = backendOf(variant);

  it.each(ZOO)('layer $name: forward, backward and inference equal fp64', ({ layer }) => {
    for (let seed = 0; seed < 6; seed++) compareWithInterpreter(layer, backend, TOLERANCES, seed);
  });

  it.each(OP_NAMES)('op %s equals fp64', (op) => {
    fc.assert(
      fc.property(genomes({ maxNodes: 2, ops: [op, 'mul'] }), fc.nat(), (genome, seed) => {
        compareWithInterpreter(layerOf(genome), backend, TOLERANCES, seed);
      }),
      { numRuns: runs(12) },
    );
  });

  it('the variance of data far from zero is right', () => {
    const layer = parseLayer('(x - mean[bwh](x)) / std[bwh](x) + x / std[whc/g](x) * std[wh](x)');
    compareWithInterpreter(layer, backend, TOLERANCES, 0, { mean: 1000, deviation: 0.1 });
  });

  it.each(ZOO)(
    'gradients of a whole network with $name equal those of the fp64 reference',
    ({ layer }) => {
      const { images, labels } = batchOf(NETWORK, SETUP.batch, 1);
      const [native, reference] = [nativeEngine(variant), referenceEngine()].map((engine) =>
        sessionOf(engine, layer).gradients(images, labels),
      );
      if (!native || !reference) throw new Error('two engines');
      expect(native.loss).toBeCloseTo(reference.loss, 4);
      // Gradients that vanish (a shift in front of a normalization) are rounding errors in both.
      const vanishing = 1e-2 * Math.max(...reference.gradients.map(Math.abs));
      for (const { kind, op, offset, size } of parameterLayout(NETWORK, layer)) {
        const want = reference.gradients.subarray(offset, offset + size);
        const got = native.gradients.subarray(offset, offset + size);
        const largest = Math.max(vanishing, ...want.map(Math.abs));
        const error = Math.max(...want.map((value, i) => Math.abs(value - got[i]!)));
        expect(error / largest, `${kind} of operation ${op}`).toBeLessThan(1e-3);
      }
    },
  );

  it.each(['BN-ReLU', 'EvoNorm-B0', 'EvoNorm-S0'])(
    '%s learns as the fp64 reference does, step by step',
    (name) => {
      const [native, reference] = [nativeEngine(variant), referenceEngine()].map((engine) =>
        sessionOf(engine, named(name)),
      );
      for (let step = 0; step < 8; step++) {
        const { images, labels } = batchOf(NETWORK, SETUP.batch, step);
        const loss = reference!.trainStep(images, labels, 0.02);
        expect(native!.trainStep(images, labels, 0.02) / loss).toBeCloseTo(1, 3);
      }
      const { images, labels } = batchOf(NETWORK, 50, 99);
      const [got, want] = [native!, reference!].map((s) => s.evaluate(images, labels));
      expect(got!.loss / want!.loss).toBeCloseTo(1, 3);
      expect(got!.correct).toBe(want!.correct);
    },
  );

  it('validation does not depend on the batch size', () => {
    const { images, labels } = batchOf(NETWORK, 23, 7);
    const results = [6, 9, 23].map((batch) => {
      const trained = sessionOf(nativeEngine(variant), named('EvoNorm-B0'));
      for (let step = 0; step < 3; step++) {
        const { images, labels } = batchOf(NETWORK, SETUP.batch, step);
        trained.trainStep(images, labels, 0.02);
      }
      // The same statistics, read through sessions of other batch sizes: one image at a time, or in parts.
      const parts: { loss: number; correct: number }[] = [];
      for (let start = 0; start < 23; start += batch) {
        const end = Math.min(23, start + batch);
        const size = images.length / 23;
        const part = trained.evaluate(
          images.subarray(start * size, end * size),
          labels.subarray(start, end),
        );
        parts.push({ loss: part.loss * (end - start), correct: part.correct });
      }
      return {
        loss: parts.reduce((sum, part) => sum + part.loss, 0),
        correct: parts.reduce((sum, part) => sum + part.correct, 0),
      };
    });
    for (const result of results) {
      expect(result.correct).toBe(results[0]!.correct);
      expect(result.loss).toBeCloseTo(results[0]!.loss, 9);
    }
  });

  it('the same inputs give the same bits', () => {
    const run = () => {
      const session = sessionOf(nativeEngine(variant), named('EvoNorm-B0'));
      for (let step = 0; step < 5; step++) {
        const { images, labels } = batchOf(NETWORK, SETUP.batch, step);
        session.trainStep(images, labels, 0.05);
      }
      return Buffer.from(session.parameters().buffer).toString('hex');
    };
    expect(run()).toBe(run());
  });

  it('a diverging network shows in the loss', () => {
    const session = sessionOf(nativeEngine(variant), parseLayer('exp(square(x))'));
    const { images, labels } = batchOf(NETWORK, SETUP.batch, 1);
    const losses = [0, 1, 2].map(() => session.trainStep(images, labels, 0.1));
    expect(losses.every(Number.isFinite)).toBe(false);
  });
});
