import { describe, expect, it } from 'vitest';
import type { Engine, TrainingSetup } from '../../../src/eval/engine.ts';
import { initialParameters } from '../../../src/eval/initial.ts';
import { nativeEngine } from '../../../src/eval/native/engine.ts';
import { variants } from '../../../src/eval/native/machine.ts';
import { type Network, parameterLayout } from '../../../src/eval/network.ts';
import { referenceEngine } from '../../../src/eval/reference.ts';
import { ZOO } from '../../../src/graph/zoo.ts';
import { BOTTLENECKS, ODD } from '../odd-networks.ts';
import { batchOf } from './batch.ts';

const SETUP: TrainingSetup = {
  batch: 6,
  groups: 4,
  movingDecay: 0.9,
  momentum: 0.9,
  weightDecay: 1e-3,
};

const NETWORKS = [BOTTLENECKS, ODD];
const LAYERS = ['BN-ReLU', 'EvoNorm-B0', 'EvoNorm-S0'];
const CASES = NETWORKS.flatMap((network) =>
  LAYERS.map((name) => ({ name: network.name, layer: name, network })),
);

const named = (name: string) => ZOO.find((entry) => entry.name === name)!.layer;

function sessionOf(engine: Engine, network: Network, layer: string, whole = network) {
  const session = engine.open(network, named(layer), SETUP, whole);
  const parameters = initialParameters(network, named(layer), 'a');
  // Biases start at zero and would hide a mistake.
  for (const { kind, offset, size } of parameterLayout(network, named(layer)))
    if (kind.endsWith('Bias'))
      for (let i = 0; i < size; i++) parameters[offset + i] = Math.sin(offset + i);
  session.load(parameters);
  return session;
}

describe.each(variants())('networks with depthwise and squeeze-excite, %s kernels', (variant) => {
  const engines = () => [nativeEngine(variant), referenceEngine()] as const;

  it.each(CASES)('gradients of $name with $layer equal the reference', ({ network, layer }) => {
    const { images, labels } = batchOf(network, SETUP.batch, 1);
    const [native, reference] = engines().map((engine) =>
      sessionOf(engine, network, layer).gradients(images, labels),
    ) as [Gradients, Gradients];
    expect(native.loss).toBeCloseTo(reference.loss, 4);
    // Gradients that vanish (a shift in front of a normalization) are rounding errors in both.
    const vanishing = 1e-2 * Math.max(...reference.gradients.map(Math.abs));
    for (const { kind, op, offset, size } of parameterLayout(network, named(layer))) {
      const want = reference.gradients.subarray(offset, offset + size);
      const got = native.gradients.subarray(offset, offset + size);
      const largest = Math.max(vanishing, ...want.map(Math.abs));
      const error = Math.max(...want.map((value, i) => Math.abs(value - got[i]!)));
      expect(error / largest, `${kind} of operation ${op}`).toBeLessThan(1e-3);
    }
  });

  it.each(CASES)('$name with $layer learns as the reference does', ({ network, layer }) => {
    const [native, reference] = engines().map((engine) => sessionOf(engine, network, layer));
    for (let step = 0; step < 8; step++) {
      const { images, labels } = batchOf(network, SETUP.batch, step);
      const loss = reference!.trainStep(images, labels, 0.02);
      expect(native!.trainStep(images, labels, 0.02) / loss).toBeCloseTo(1, 3);
    }
    const { images, labels } = batchOf(network, 50, 99);
    const [got, want] = [native!, reference!].map((s) => s.evaluate(images, labels));
    expect(got!.loss / want!.loss).toBeCloseTo(1, 3);
    expect(got!.correct).toBe(want!.correct);
    expectSameParameters(native!.parameters(), reference!.parameters());
  });

  it.each(CASES)('$name with $layer learns from crops, and scores whole images', (one) => {
    const whole = { ...one.network, image: { height: 12, width: 11, channels: 2 } };
    const [native, reference] = engines().map((engine) =>
      sessionOf(engine, one.network, one.layer, whole),
    );
    const { images, labels } = batchOf(whole, 40, 99);
    for (let step = 0; step < 4; step++) {
      const crops = batchOf(one.network, SETUP.batch, step);
      const loss = reference!.trainStep(crops.images, crops.labels, 0.02);
      expect(native!.trainStep(crops.images, crops.labels, 0.02) / loss).toBeCloseTo(1, 3);
      const [got, want] = [native!, reference!].map((s) => s.evaluate(images, labels));
      expect(got!.loss / want!.loss).toBeCloseTo(1, 3);
      expect(got!.correct).toBe(want!.correct);
    }
    expectSameParameters(native!.parameters(), reference!.parameters());
    for (const session of [native!, reference!]) session.close();
  });

  it.each(NETWORKS)('inference on $name does not depend on the batch', (network) => {
    const session = sessionOf(nativeEngine(variant), network, 'EvoNorm-B0');
    const { images, labels } = batchOf(network, 13, 7);
    const size = images.length / labels.length;
    const whole = session.evaluate(images, labels);
    const single = [...labels.keys()].map((i) =>
      session.evaluate(images.subarray(i * size, (i + 1) * size), labels.subarray(i, i + 1)),
    );
    const loss = single.reduce((sum, part) => sum + part.loss, 0) / labels.length;
    expect(whole.loss).toBeCloseTo(loss, 12);
    expect(whole.correct).toBe(single.reduce((sum, part) => sum + part.correct, 0));
  });

  it('the same inputs give the same bits, also after other batches', () => {
    const session = sessionOf(nativeEngine(variant), BOTTLENECKS, 'EvoNorm-B0');
    const { images, labels } = batchOf(BOTTLENECKS, SETUP.batch, 1);
    const first = session.gradients(images, labels);
    const other = batchOf(BOTTLENECKS, SETUP.batch, 2);
    session.gradients(other.images, other.labels);
    session.evaluate(
      other.images.subarray(0, other.images.length / 6),
      other.labels.subarray(0, 1),
    );
    expect(session.gradients(images, labels)).toEqual(first);
  });
});

type Gradients = { loss: number; gradients: Float32Array };

/** Weight decay and momentum have gone the same way for every kind of parameter. */
function expectSameParameters(got: Float32Array, want: Float32Array): void {
  const error = Math.max(...want.map((value, i) => Math.abs(value - got[i]!)));
  expect(error / Math.max(...want.map(Math.abs))).toBeLessThan(1e-3);
}
