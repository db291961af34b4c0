import { afterAll, describe, expect, test } from 'vitest';
import { NETWORKS, randomBatch, type TrainingCase, trainingCase } from '../../bench/cases.ts';
import { type BenchLayer, BN_RELU, KNOWN_LAYERS } from '../../bench/layers.ts';
import { TorchPeer } from '../../bench/peers/torch.ts';
import { EngineTrainer, type TorchMode, TorchTrainer, type Trainer } from '../../bench/training.ts';
import { nativeEngine } from '../../src/eval/native/engine.ts';

const STEPS = 50;
const TOLERANCE = 1e-3;

/**
 * Where a value lies within a rounding error of a kink, two correct programs take different sides, and
 * the gradient jumps. A step then moves the weights a little elsewhere, and training amplifies it. So
 * layers with kinks are compared at a small rate; without kinks a rate of ten times that does no harm.
 */
const RATES: Readonly<Record<string, number>> = {
  [BN_RELU]: 0.001,
  'EvoNorm-B0': 0.001,
  'EvoNorm-S0': 0.01,
};

const peer = await TorchPeer.start();
if ('missing' in peer) console.warn(`Left out: training curves against PyTorch (${peer.missing}).`);
afterAll(async () => {
  if (!('missing' in peer)) await peer.close();
});

interface Curve extends TrainingCase {
  readonly rate: number;
}

/** PyTorch's BN-ReLU with γ and β, which our layers train. */
const withAffine = (layer: BenchLayer): BenchLayer =>
  layer.name === BN_RELU ? { ...layer, peer: { kind: 'batch-norm-relu', affine: true } } : layer;

const CURVES: readonly Curve[] = NETWORKS.filter(({ size }) => size === 'mini').flatMap((network) =>
  KNOWN_LAYERS.filter(({ name }) => name in RATES).map((layer) => ({
    ...trainingCase(network, withAffine(layer)),
    batches: Array.from({ length: STEPS }, (_, i) =>
      randomBatch(network.network, network.batch, i),
    ),
    rate: RATES[layer.name]!,
  })),
);

/** Here PyTorch in single precision is itself more than 1e-3 away from PyTorch in double precision. */
const isChaotic = ({ name }: Curve) => name === `mini-deep: ${BN_RELU}`;

async function losses(trainer: Trainer, { rate }: Curve): Promise<readonly number[]> {
  const { losses } = await trainer.steps(STEPS, rate);
  await trainer.close();
  return losses;
}

const ours = (curve: Curve) => losses(new EngineTrainer(curve, nativeEngine()), curve);

async function pytorch(curve: Curve, mode: TorchMode): Promise<readonly number[]> {
  if ('missing' in peer) throw new Error('internal: this test is skipped');
  return losses(await TorchTrainer.open(curve, mode, peer), curve);
}

/** The largest relative difference. */
const distance = (got: readonly number[], want: readonly number[]): number =>
  Math.max(...want.map((loss, i) => Math.abs(got[i]! / loss - 1)));

describe.skipIf('missing' in peer)('training curves', () => {
  test.each(CURVES.filter((curve) => !isChaotic(curve)))(
    'of $name equal those of PyTorch',
    async (curve) => {
      expect(distance(await ours(curve), await pytorch(curve, 'eager'))).toBeLessThan(TOLERANCE);
    },
    60_000,
  );

  test.each(CURVES.filter(isChaotic))(
    'of $name are about as near to double precision as those of PyTorch',
    async (curve) => {
      const exact = await pytorch(curve, 'double');
      const theirs = distance(await pytorch(curve, 'eager'), exact);
      expect(distance(await ours(curve), exact)).toBeLessThan(Math.max(TOLERANCE, 10 * theirs));
    },
    60_000,
  );
});
