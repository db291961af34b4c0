import { describe, expect, it } from 'vitest';
import { ANCHORS } from '../../../src/eval/anchors.ts';
import type { TrainingSetup } from '../../../src/eval/engine.ts';
import { initialParameters } from '../../../src/eval/initial.ts';
import { compile, type WorkingSet } from '../../../src/eval/native/compile.ts';
import { ProgramWriter } from '../../../src/eval/native/encode.ts';
import { nativeEngine } from '../../../src/eval/native/engine.ts';
import { Machine, variants } from '../../../src/eval/native/machine.ts';
import { parameterLayout } from '../../../src/eval/network.ts';
import { resnet } from '../../../src/eval/resnet.ts';
import { parseLayer } from '../../../src/graph/text.ts';
import { ZOO } from '../../../src/graph/zoo.ts';
import { batchOf } from './batch.ts';

const SETUP: TrainingSetup = {
  batch: 10,
  groups: 4,
  movingDecay: 0.9,
  momentum: 0.9,
  weightDecay: 1e-3,
};
const LANES = 16;

/** Blocks as small as they get: of 4, 4 and 2 images. */
const SMALLEST: WorkingSet = { most: 0, wanted: 0 };
const NEVER: WorkingSet = { most: Number.POSITIVE_INFINITY, wanted: 0 };

const named = (name: string) => ZOO.find((entry) => entry.name === name)!.layer;
const LAYERS = {
  // Deep networks without normalization diverge, unless it saturates.
  tanh: parseLayer('tanh(x)'),
  'EvoNorm-S0': named('EvoNorm-S0'),
  'v0, v1 and a moment of an image': parseLayer('max(v0 * x, v1) / std[whc](x) + tanh(v1)'),
};

const networkOf = (anchor: string) =>
  ANCHORS.get(anchor)!.network({ height: 8, width: 8, channels: 2 }, 5);
const minis = [...ANCHORS.keys()].filter((name) => name.startsWith('mini-'));

describe.each(variants())('batches in blocks, %s kernels', (variant) => {
  it.each(minis.flatMap((anchor) => Object.keys(LAYERS).map((layer) => [anchor, layer] as const)))(
    '%s with %s learns as it does from whole batches',
    (anchor, name) => {
      const network = networkOf(anchor);
      const layer = LAYERS[name as keyof typeof LAYERS];
      const [blocks, whole] = [SMALLEST, NEVER].map((workingSet) => {
        const session = nativeEngine(variant, workingSet).open(network, layer, SETUP);
        session.load(initialParameters(network, layer, 'blocks'));
        return session;
      });
      for (let step = 0; step < 3; step++) {
        const { images, labels } = batchOf(network, SETUP.batch, step);
        const [got, want] = [blocks!, whole!].map((session) => session.gradients(images, labels));
        expect(got!.loss / want!.loss).toBeCloseTo(1, 5);
        const largest = Math.max(...want!.gradients.map(Math.abs));
        for (const { kind, op, offset, size } of parameterLayout(network, layer)) {
          const expected = want!.gradients.subarray(offset, offset + size);
          const scale = Math.max(1e-2 * largest, ...expected.map(Math.abs));
          const errors = expected.map((value, i) => Math.abs(value - got!.gradients[offset + i]!));
          expect(Math.max(...errors) / scale, `${kind} of operation ${op}`).toBeLessThan(1e-4);
        }
        const losses = [blocks!, whole!].map((session) => session.trainStep(images, labels, 0.01));
        expect(losses[0]).toBe(got!.loss);
        expect(losses[1]).toBe(want!.loss);
      }
      const { images, labels } = batchOf(network, 11, 9);
      const [got, want] = [blocks!, whole!].map((session) => session.evaluate(images, labels));
      expect(got!.correct).toBe(want!.correct);
      expect(got!.loss / want!.loss).toBeCloseTo(1, 4);
    },
  );
});

const wide = resnet({
  name: 'wide',
  image: { height: 16, width: 16, channels: 3 },
  classes: 10,
  width: 16,
  stages: [1, 1, 1],
  expansion: 2,
});

describe('how many images a block has', () => {
  const planOf = (network: typeof wide, batch: number, layer = LAYERS.tanh) =>
    compile(network, layer, { ...SETUP, batch }, LANES);

  it('follows from the memory that they take, where that is large', () => {
    const whole = compile(wide, LAYERS.tanh, { ...SETUP, batch: 64 }, LANES, NEVER);
    const plan = planOf(wide, 64);
    expect(whole.block).toBe(64);
    expect(plan.block).toBeLessThan(16);
    expect(plan.floats).toBeLessThan(whole.floats / 5);
    expect(planOf(wide, 256).floats).toBeLessThan(1.3 * plan.floats);
  });

  it('is a whole batch in the minis of the quick preset', () => {
    const image = { height: 14, width: 14, channels: 1 };
    for (const anchor of minis)
      for (const layer of Object.values(LAYERS))
        expect(planOf(ANCHORS.get(anchor)!.network(image, 10), 32, layer).block).toBe(32);
  });

  it.each(['BN-ReLU', 'EvoNorm-B0'])(
    'is a whole batch with %s, which has a moment over it',
    (name) => {
      expect(compile(wide, named(name), { ...SETUP, batch: 64 }, LANES, SMALLEST).block).toBe(64);
    },
  );

  it('is never more than the batch, and shares it out evenly', () => {
    for (let batch = 1; batch <= 40; batch++) {
      const { block } = compile(wide, LAYERS.tanh, { ...SETUP, batch }, LANES, {
        most: 0,
        wanted: 1 << 20,
      });
      expect(block).toBeLessThanOrEqual(batch);
      const blocks = Math.ceil(batch / block);
      expect(block).toBe(Math.ceil(batch / blocks));
    }
  });
});

it('a machine refuses images that are not of their batch', () => {
  const machine = new Machine('base', 4096, 4);
  const writer = new ProgramWriter();
  writer.instruction('zero', 0, 10);
  const program = machine.prepare(writer.finish(0));
  machine.run(program, 4, 0, 1, 4, 8);
  for (const [before, total] of [
    [-1, 8],
    [5, 8],
    [0, 3],
  ] as const)
    expect(() => machine.run(program, 4, 0, 1, before, total)).toThrow('internal: run(');
  machine.close();
});
