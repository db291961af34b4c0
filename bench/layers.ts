import type { Engine } from '../src/eval/engine.ts';
import { randomStream } from '../src/eval/random.ts';
import { FULL } from '../src/graph/extent.ts';
import { layerOf } from '../src/graph/genome.ts';
import { isInput, type LayerGraph } from '../src/graph/graph.ts';
import { probe } from '../src/graph/keys.ts';
import { parseLayer } from '../src/graph/text.ts';
import { ZOO } from '../src/graph/zoo.ts';
import { randomGenome } from '../src/search/space.ts';
import { type BenchNetwork, SETTINGS, trainingCase } from './cases.ts';
import { EngineTrainer } from './training.ts';

/** What stands in a network's slots in PyTorch: what we export, or modules of PyTorch's own. */
export type PeerLayer =
  | { readonly kind: 'exported' }
  /** BatchNorm2d and ReLU; `affine` adds γ and β, which our layers have. */
  | { readonly kind: 'batch-norm-relu'; readonly affine: boolean }
  | { readonly kind: 'identity' };

export interface BenchLayer {
  readonly name: string;
  readonly layer: LayerGraph;
  readonly peer: PeerLayer;
  /** One of those that the geometric means are taken over. */
  readonly general: boolean;
}

const zoo = (name: string): LayerGraph => ZOO.find((entry) => entry.name === name)!.layer;

export const IDENTITY = 'identity';
export const BARE = 'identity, in PyTorch nothing';
export const BN_RELU = 'BN-ReLU';

const exported = { kind: 'exported' } as const;

/** The layers that everybody knows. */
export const KNOWN_LAYERS: readonly BenchLayer[] = [
  { name: IDENTITY, layer: parseLayer('x'), peer: exported, general: false },
  { name: BARE, layer: parseLayer('x'), peer: { kind: 'identity' }, general: false },
  {
    name: BN_RELU,
    layer: zoo('BN-ReLU'),
    peer: { kind: 'batch-norm-relu', affine: false },
    general: false,
  },
  { name: 'EvoNorm-B0', layer: zoo('EvoNorm-B0'), peer: exported, general: true },
  { name: 'EvoNorm-S0', layer: zoo('EvoNorm-S0'), peer: exported, general: true },
];

/** Ten ops: sigmoid, tanh, max, v0, v1, and a moment over each of wh, bwh and whc. */
export const TEN_OPS: BenchLayer = {
  name: 'ten ops',
  layer: parseLayer('tanh(sigmoid(max(v1 * x, v0)) / std[wh](x)) / std[bwh](x) / std[whc](x)'),
  peer: exported,
  general: false,
};

const SPACE = { genomeNodes: 10, primitiveWeights: {} };
const LEAST_OPS = 6;
const TRIAL_STEPS = 20;

/**
 * The first `count` random genomes of the search that are worth training: ten nodes of which at least six
 * live, one of them reading x, with an output that differs from pixel to pixel, accepted by the probe, and
 * finite over the first steps in every network.
 */
export async function randomLayers(
  count: number,
  networks: readonly BenchNetwork[],
  engine: Engine,
): Promise<BenchLayer[]> {
  const found: BenchLayer[] = [];
  for (let i = 0; found.length < count; i++) {
    const layer = layerOf(randomGenome(SPACE, randomStream('bench candidate', i)));
    if (!isCandidate(layer)) continue;
    const name = `candidate ${found.length + 1}`;
    const candidate = { name, layer, peer: exported, general: true };
    if (await trainsEverywhere(candidate, networks, engine)) found.push(candidate);
  }
  return found;
}

const isCandidate = (layer: LayerGraph): boolean =>
  layer.nodes.filter(({ op }) => !isInput(op)).length >= LEAST_OPS &&
  layer.nodes.some(({ op }) => op === 'x') &&
  layer.nodes[layer.outputs.out]!.extent === FULL &&
  probe(layer).verdict === 'ok';

async function trainsEverywhere(
  layer: BenchLayer,
  networks: readonly BenchNetwork[],
  engine: Engine,
): Promise<boolean> {
  for (const network of networks) {
    const trainer = new EngineTrainer(trainingCase(network, layer), engine);
    const { losses } = await trainer.steps(TRIAL_STEPS, SETTINGS.learningRate);
    await trainer.close();
    if (!losses.every(Number.isFinite)) return false;
  }
  return true;
}
