import { describe, expect, test } from 'vitest';
import { compileLayer, graphsOf } from '../../../src/eval/native/layer.ts';
import { ShapedLayer } from '../../../src/eval/native/shaped-layer.ts';
import { layerParameters } from '../../../src/eval/network.ts';
import { randomStream } from '../../../src/eval/random.ts';
import { effectiveGroups } from '../../../src/graph/extent.ts';
import { layerOf } from '../../../src/graph/genome.ts';
import type { LayerGraph } from '../../../src/graph/graph.ts';
import { simplify } from '../../../src/graph/simplify.ts';
import { parseLayer } from '../../../src/graph/text.ts';
import { ZOO } from '../../../src/graph/zoo.ts';
import { randomGenome } from '../../../src/search/space.ts';

const BATCH = 4;
const GROUPS = 8;
const LANES = 16;
const setup = { batch: BATCH, groups: GROUPS, movingDecay: 0.9, momentum: 0.9, weightDecay: 0 };

/** Single pixels and channels, images on either side of a tile, and tensors on either side of the cache. */
const SIDES = [1, 2, 7, 32, 64];
const CHANNELS = [1, 3, 8, 16, 24, 64, 256];
const SHAPES = SIDES.flatMap((side) =>
  CHANNELS.map((channels) => ({ height: side, width: side, channels })),
);

const FORMULAS = [
  'x / std[bwh](x) + mean[wh](x * x)',
  'mean[whc](x) * x',
  'x * sigmoid(v1 * mean[whc/g](x)) + v0',
  'tanh(mean[bwh](mean[wh](x) * x) + x)',
  'max(std[bwh](x), v1 * x + std[wh](x)) - rms[whc](x)',
];

const layers: readonly (readonly [string, LayerGraph])[] = [
  ...ZOO.map(({ name, layer }) => [name, layer] as const),
  ...FORMULAS.map((formula) => [formula, simplify(parseLayer(formula))] as const),
];

const SPACE = { genomeNodes: 12, primitiveWeights: {} };
const random = (i: number) => layerOf(randomGenome(SPACE, randomStream('shaped layer', i)));

function checkAgainstEachAlone(layer: LayerGraph, images: typeof SHAPES): void {
  const shaped = new ShapedLayer(layer, setup, LANES);
  for (const image of images) {
    const shape = { ...image, batch: BATCH, groups: effectiveGroups(image.channels, GROUPS) };
    const alone = compileLayer(graphsOf(layer), shape, LANES, layerParameters(layer));
    expect(shaped.at(image), JSON.stringify(image)).toEqual(alone);
  }
}

describe('a layer that is compiled for the shapes of a network', () => {
  test.each(layers)('%s is what it is compiled to for each shape alone', (_, layer) => {
    checkAgainstEachAlone(layer, SHAPES);
  });

  test('so are random layers', () => {
    const images = SHAPES.filter((_, i) => i % 3 === 0);
    for (let i = 0; i < 150; i++) checkAgainstEachAlone(random(i), images);
  });

  test('is compiled once for all numbers of channels where these never meet', () => {
    const graphs = (name: string) => {
      const { layer } = ZOO.find((known) => known.name === name)!;
      const shaped = new ShapedLayer(layer, setup, LANES);
      return new Set(
        [16, 24, 48].map((channels) => shaped.at({ height: 2, width: 2, channels }).training),
      ).size;
    };
    expect(graphs('BN-ReLU')).toBe(1);
    expect(graphs('EvoNorm-B0')).toBe(1);
    expect(graphs('EvoNorm-S0')).toBe(3);
  });
});
