import { afterAll, beforeAll, expect, test } from 'vitest';
import { TorchPeer } from '../../bench/peers/torch.ts';
import { TorchTrainer } from '../../bench/training.ts';
import { anchorNamed } from '../../src/eval/anchors.ts';
import { type Batch, BatchStream } from '../../src/eval/batches.ts';
import { loadDataset } from '../../src/eval/data.ts';
import { initialParameters } from '../../src/eval/initial.ts';
import { nativeEngine } from '../../src/eval/native/engine.ts';
import { type Network, parameterLayout } from '../../src/eval/network.ts';
import { GradientNorm, STABILITY } from '../../src/eval/stability.ts';
import type { LayerGraph } from '../../src/graph/graph.ts';
import { ZOO } from '../../src/graph/zoo.ts';

/*
 * The figures of the stability test, which are differences in single precision, against PyTorch: the same network
 * with the exported layer, the same weights and images, in double precision, where a second backward pass through
 * the first one gives H·u exactly. Smooth layers: PyTorch's second derivative of ReLU is 0, kinks or not.
 */

let peer: TorchPeer;

beforeAll(async () => {
  const started = await TorchPeer.start();
  if ('missing' in started) throw new Error(started.missing);
  peer = started;
  // It imports PyTorch and compiles a first model.
}, 120_000);
afterAll(() => peer?.close());

const images = 16;
const setup = { batch: images, groups: 8, movingDecay: 0.9, momentum: 0.9, weightDecay: 1e-4 };
const { train, image, classes, mean, std } = loadDataset('fashion-mnist', { pool: 2 });
const source = { split: train, image, black: -mean / std };

const lengthOf = (vector: Float64Array) => Math.sqrt(vector.reduce((sum, a) => sum + a * a, 0));

/** In the first steps of an ascent, the weights of each one included. */
test.each([
  [4, 'EvoNorm-S0', 'mini-deep'],
  [4, 'BN-SiLU', 'mini-deep'],
  [4, 'GN-SiLU', 'mini-wide'],
  [4, 'RMSNorm-SiLU', 'mini-mobile'],
  [4, 'BN-SiLU', 'mini-efficient'],
  [4, 'DyT', 'mini-efficient'],
  // At its start, before curvature explodes with the gradient.
  [1, 'SiLU', 'mini-deep'],
])(
  'at %d points of an ascent with %s in %s, ‖g‖ and H·u are PyTorch’s',
  async (steps, name, anchor) => {
    const { layer } = ZOO.find((known) => known.name === name)!;
    const network = anchorNamed(anchor).network(image, classes);
    const batch = new BatchStream(source, images, { pad: 1, flip: true }, 'seed').next();
    const start = initialParameters(network, layer, 'seed');
    const session = nativeEngine().open(network, layer, setup);
    try {
      const gradient = new GradientNorm(session, { network, layer }, start, batch);
      let weights = gradient.weights();
      for (let step = 0; step < steps; step++) {
        const { norm, ascent } = gradient.slope(weights, STABILITY.difference);
        const parameters = start.slice();
        let from = 0;
        for (const { kind, offset, size } of parameterLayout(network, layer)) {
          if (kind !== 'conv' && kind !== 'depthwise') continue;
          parameters.set(weights.subarray(from, from + size), offset);
          from += size;
        }
        const exact = await slopeOf({ name, layer }, { network, parameters, batch });
        expect(norm / exact.norm).toBeCloseTo(1, 4);
        const error = ascent!.map((value, i) => value - exact.ascent[i]!);
        expect(ascent).toHaveLength(exact.ascent.length);
        expect(lengthOf(error) / lengthOf(exact.ascent)).toBeLessThan(0.01);
        const rate = (STABILITY.learningRate * lengthOf(weights)) / lengthOf(ascent!);
        weights = weights.map((w, i) => w + rate * ascent![i]!);
      }
    } finally {
      session.close();
    }
  },
);

async function slopeOf(
  { name, layer }: { name: string; layer: LayerGraph },
  { network, parameters, batch }: { network: Network; parameters: Float32Array; batch: Batch },
) {
  const exported = { name, layer, peer: { kind: 'exported' }, general: true } as const;
  const whole = { network, layer: exported, setup, parameters, batches: [batch] };
  const trainer = await TorchTrainer.open({ name, ...whole }, 'double', peer);
  try {
    return await trainer.slope(batch);
  } finally {
    await trainer.close();
  }
}
