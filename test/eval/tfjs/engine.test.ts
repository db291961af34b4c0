import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { ANCHORS } from '../../../src/eval/anchors.ts';
import { BatchStream } from '../../../src/eval/batches.ts';
import { loadDataset } from '../../../src/eval/data.ts';
import type { Engine, Session, TrainingSetup } from '../../../src/eval/engine.ts';
import { initialParameters } from '../../../src/eval/initial.ts';
import { nativeEngine } from '../../../src/eval/native/engine.ts';
import { type Network, parameterLayout } from '../../../src/eval/network.ts';
import { resolveProtocol } from '../../../src/eval/presets.ts';
import { trainingSetup } from '../../../src/eval/protocol-networks.ts';
import { referenceEngine } from '../../../src/eval/reference.ts';
import { type TfjsEngine, tfjsEngine } from '../../../src/eval/tfjs/engine.ts';
import { parseLayer } from '../../../src/graph/text.ts';
import { ZOO } from '../../../src/graph/zoo.ts';
import { batchOf } from '../native/batch.ts';
import { BOTTLENECKS, ODD, RESIDUAL } from '../odd-networks.ts';
import { cases, isFast, TESTED } from './backends.ts';

// A call holds the thread until it is answered, which software takes its time for.
vi.setConfig({ testTimeout: 180_000 });

const SETUP: TrainingSetup = {
  ...{ batch: 6, groups: 4, movingDecay: 0.9, momentum: 0.9, weightDecay: 1e-3 },
};

const LAYERS = ['BN-ReLU', 'EvoNorm-B0', 'EvoNorm-S0'];
const NETWORKS = [RESIDUAL, BOTTLENECKS, ODD];
const CASES = NETWORKS.flatMap((network) =>
  LAYERS.slice(0, cases(1, TESTED.every(isFast) ? 3 : 1)).map((layer) => ({
    name: network.name,
    layer,
    network,
  })),
);
/** One of each family: ResNet, MobileNetV2, EfficientNet. */
const FAMILIES = ['mini-wide', 'mini-mobile', 'mini-efficient'];

/**
 * Layers and rates. Where an argument of a maximum lies within a rounding error of a tie, two engines may take
 * different sides, and small steps keep small what follows; without kinks losses agree to seven digits.
 */
const TRAINED = [
  ['EvoNorm-S0', 0.02],
  ['BN-SiLU', 0.02],
  ['BN-ReLU', 0.002],
  ['EvoNorm-B0', 0.002],
] as const;

const named = (name: string) => ZOO.find((entry) => entry.name === name)!.layer;

function sessionOf(
  engine: Engine,
  network: Network,
  layer: string,
  { setup = SETUP, whole = network } = {},
): Session {
  const session = engine.open(network, named(layer), setup, whole);
  const parameters = initialParameters(network, named(layer), 'a');
  // Biases start at zero and would hide a mistake.
  for (const { kind, offset, size } of parameterLayout(network, named(layer)))
    if (kind.endsWith('Bias'))
      for (let i = 0; i < size; i++) parameters[offset + i] = Math.sin(offset + i);
  session.load(parameters);
  return session;
}

describe.each(TESTED)('the engine on TensorFlow.js, %s', (backend) => {
  let engine: TfjsEngine;

  beforeAll(() => {
    engine = tfjsEngine(backend);
  });

  afterAll(() => {
    // Every test closes its sessions.
    expect(engine.memory()).toEqual({ tensors: 0, bytes: 0 });
    engine.close();
  });

  it('names its arithmetic', () => {
    expect(engine.numerics).toMatch(new RegExp(`^tfjs/${backend}/\\d+\\.\\d+\\.\\d+`));
  });

  it.each(CASES)('gradients of $name with $layer equal the reference', ({ network, layer }) => {
    const { images, labels } = batchOf(network, SETUP.batch, 1);
    const [got, want] = [engine, referenceEngine()].map((one) => {
      const session = sessionOf(one, network, layer);
      const result = session.gradients(images, labels);
      session.close();
      return result;
    });
    expect(got!.loss).toBeCloseTo(want!.loss, 4);
    // Gradients that vanish (a shift in front of a normalization) are rounding errors in both.
    const vanishing = 1e-2 * Math.max(...want!.gradients.map(Math.abs));
    for (const { kind, op, offset, size } of parameterLayout(network, named(layer))) {
      const right = want!.gradients.subarray(offset, offset + size);
      const largest = Math.max(vanishing, ...right.map(Math.abs));
      const error = Math.max(...right.map((d, i) => Math.abs(d - got!.gradients[offset + i]!)));
      expect(error / largest, `${kind} of operation ${op}`).toBeLessThan(1e-3);
    }
  });

  it.each(CASES)('$name with $layer learns from crops, and scores whole images', (one) => {
    const whole = { ...one.network, image: { height: 12, width: 11, channels: 2 } };
    const [ours, reference] = [engine, referenceEngine()].map((engine) =>
      sessionOf(engine, one.network, one.layer, { whole }),
    );
    const { images, labels } = batchOf(whole, isFast(backend) ? 150 : 20, 99);
    for (let step = 0; step < (isFast(backend) ? 4 : 2); step++) {
      const crops = batchOf(one.network, SETUP.batch, step);
      const loss = reference!.trainStep(crops.images, crops.labels, 0.02);
      expect(ours!.trainStep(crops.images, crops.labels, 0.02) / loss).toBeCloseTo(1, 3);
    }
    const [got, want] = [ours!, reference!].map((s) => s.evaluate(images, labels));
    expect(got!.loss / want!.loss).toBeCloseTo(1, 3);
    expect(got!.correct).toBe(want!.correct);
    const right = reference!.parameters();
    const parameters = ours!.parameters();
    const error = Math.max(...right.map((value, i) => Math.abs(value - parameters[i]!)));
    expect(error / Math.max(...right.map(Math.abs))).toBeLessThan(1e-3);
    for (const session of [ours!, reference!]) session.close();
  });

  it.runIf(isFast(backend)).each(FAMILIES)(
    'losses of %s over 20 steps are those of the native engine',
    (name) => {
      const protocol = resolveProtocol('quick', { anchors: [name] }, engine.numerics);
      const { train, ...dataset } = loadDataset(protocol.dataset.name, protocol.dataset);
      const network = ANCHORS.get(name)!.network(dataset.image, dataset.classes);
      const source = { split: train, image: dataset.image, black: -dataset.mean / dataset.std };
      for (const [layer, rate] of TRAINED.slice(0, cases(1, 4))) {
        const batches = new BatchStream(source, protocol.batch, protocol.augmentation, layer);
        const sessions = [engine, nativeEngine()].map((one) =>
          sessionOf(one, network, layer, { setup: trainingSetup(protocol) }),
        );
        for (let step = 0; step < cases(5, 20); step++) {
          const { images, labels } = batches.next();
          const [got, want] = sessions.map((one) => one.trainStep(images, labels, rate));
          expect(Math.abs(got! - want!), `${layer}, step ${step}`).toBeLessThan(1e-3 * want!);
        }
        for (const session of sessions) session.close();
      }
    },
    300_000,
  );

  it('keeps no tensors from step to step', () => {
    const session = sessionOf(engine, BOTTLENECKS, 'EvoNorm-B0');
    const { images, labels } = batchOf(BOTTLENECKS, SETUP.batch, 1);
    const some = batchOf(BOTTLENECKS, isFast(backend) ? 130 : 10, 2);
    const work = () => {
      session.trainStep(images, labels, 0.02);
      session.gradients(images, labels);
      session.evaluate(some.images, some.labels);
      session.parameters();
      return engine.memory();
    };
    const first = work();
    for (let i = 0; i < 2; i++) expect(work()).toEqual(first);
    session.close();
  });

  it('the same inputs give the same bits', () => {
    const run = () => {
      const session = sessionOf(engine, RESIDUAL, 'EvoNorm-B0');
      for (let step = 0; step < 3; step++) {
        const { images, labels } = batchOf(RESIDUAL, SETUP.batch, step);
        session.trainStep(images, labels, 0.05);
      }
      const bits = Buffer.from(session.parameters().buffer).toString('hex');
      session.close();
      return bits;
    };
    expect(run()).toBe(run());
  });

  it('a diverging network shows in the loss', () => {
    const session = engine.open(RESIDUAL, parseLayer('exp(square(x))'), SETUP);
    session.load(initialParameters(RESIDUAL, parseLayer('exp(square(x))'), 'a'));
    const { images, labels } = batchOf(RESIDUAL, SETUP.batch, 1);
    const losses = [0, 1, 2].map(() => session.trainStep(images, labels, 0.1));
    expect(losses.every(Number.isFinite)).toBe(false);
    session.close();
  });

  // Where there is no device, the second case takes long and shows nothing new.
  describe.each([true, false].slice(0, isFast(backend) ? 2 : 1))(
    'images on the device: %s',
    (onDevice) => {
      const image = { height: 9, width: 8, channels: 2 };
      const network = { ...RESIDUAL, image: { height: 7, width: 7, channels: 2 } };
      const whole = { ...network, image };
      const augmentation = { pad: 1, flip: true, crop: 7 };
      const sourceOf = (seed: number) => {
        const { images, labels } = batchOf(whole, 16, seed);
        return { split: { images, labels, count: 16 }, image, black: -0.7 };
      };
      const RATES = [0.05, 0.03, 0.01, 0.02].slice(0, isFast(backend) ? 4 : 2);

      it('a stretch of steps is the same as step by step, to the bit', () => {
        const other = tfjsEngine(backend, { onDevice });
        const [ours, single] = [other, engine].map((one) =>
          sessionOf(one, network, 'EvoNorm-B0', { whole }),
        );
        const [batches, same] = [0, 1].map(
          () => new BatchStream(sourceOf(1), SETUP.batch, augmentation, 'seed'),
        );
        const losses = [
          ...ours!.trainSteps!(batches!, RATES),
          ...ours!.trainSteps!(batches!, [0.1]),
        ];
        const want = [...RATES, 0.1].map((rate) => {
          const { images, labels } = same!.next();
          return single!.trainStep(images, labels, rate);
        });
        expect(losses).toEqual(want);
        expect(ours!.parameters()).toEqual(single!.parameters());
        const { images, labels } = sourceOf(2).split;
        expect(ours!.evaluateFirst!(13, sourceOf(2))).toEqual(
          single!.evaluate(images.subarray(0, 13 * 144), labels.subarray(0, 13)),
        );
        for (const session of [ours!, single!]) session.close();
        other.close();
      });

      it('keeps the images alone, from stretch to stretch and from session to session', () => {
        const other = tfjsEngine(backend, { onDevice });
        const [train, validation] = [sourceOf(1), sourceOf(2)];
        const work = (batches = new BatchStream(train, SETUP.batch, augmentation, 'seed')) => {
          const session = sessionOf(other, network, 'EvoNorm-B0', { whole });
          session.trainSteps!(batches, RATES);
          session.evaluateFirst!(16, validation);
          const open = other.memory();
          session.trainSteps!(batches, RATES);
          expect(other.memory()).toEqual(open);
          session.close();
          return other.memory();
        };
        const bytes = 2 * train.split.images.byteLength;
        const want = onDevice ? { tensors: 2, bytes } : { tensors: 0, bytes: 0 };
        for (let i = 0; i < 2; i++) expect(work()).toEqual(want);
        // Another data set takes the place of the first.
        const { split, ...rest } = sourceOf(3);
        work(new BatchStream({ split, ...rest }, SETUP.batch, augmentation, 'seed'));
        expect(other.memory()).toEqual(want);
        other.close();
      });
    },
  );

  it.runIf(isFast(backend))(
    'fails when its thread ends, and has another one for the next session',
    () => {
      const other = tfjsEngine(backend, { heapMegabytes: 64 });
      const session = sessionOf(other, RESIDUAL, 'BN-ReLU');
      // A few megabytes to send, and objects for each of them in the thread.
      const ops = Array<Network['ops'][number]>(2_000_000).fill({ op: 'pool', input: 0 });
      expect(() => other.open({ ...RESIDUAL, ops }, named('BN-ReLU'), SETUP)).toThrow(
        'memory limit',
      );
      expect(() => session.parameters()).toThrow('The thread of TensorFlow.js has ended');
      session.close();
      const next = sessionOf(other, RESIDUAL, 'BN-ReLU');
      const { images, labels } = batchOf(RESIDUAL, SETUP.batch, 1);
      expect(next.trainStep(images, labels, 0.1)).toBeGreaterThan(0);
      next.close();
      other.close();
    },
  );

  it('tells what goes wrong in its thread, and goes on', () => {
    const session = engine.open(RESIDUAL, named('BN-ReLU'), SETUP);
    const { images, labels } = batchOf(RESIDUAL, SETUP.batch, 1);
    expect(() => session.trainStep(images, labels, 0.1)).toThrow('without parameters');
    session.load(initialParameters(RESIDUAL, named('BN-ReLU'), 'a'));
    expect(session.trainStep(images, labels, 0.1)).toBeGreaterThan(0);
    const some = images.subarray(0, images.length / SETUP.batch);
    expect(() => session.trainStep(some, labels.subarray(0, 1), 0.1)).toThrow('1 images');
    session.close();
  });
});
