import { probit } from 'simple-statistics';
import { FULL, type LayerShape } from '../graph/extent.ts';
import { GraphBuilder, type LayerGraph, transplant } from '../graph/graph.ts';
import { evaluateGraph, expand } from '../graph/interpreter.ts';
import { finiteOrNull } from './inspect-layer.ts';

/** What a layer makes of one element of its input, while all other elements have these statistics. */
export interface Response {
  /** Of every channel of every image. */
  readonly mean: number;
  readonly deviation: number;
  /** Output for each of `RESPONSE_INPUTS`; null where it is not finite. */
  readonly outputs: readonly (number | null)[];
}

/** Statistics of the input: as a layer behind a normalised one has them, and shifted, narrow, wide. */
const STATISTICS = [
  { mean: 0, deviation: 1 },
  { mean: 1, deviation: 1 },
  { mean: 0, deviation: 0.5 },
  { mean: 0, deviation: 2 },
] as const;

const REACH = 5;
const STEPS = 200;

/** Values of the element, from −5 to 5. */
export const RESPONSE_INPUTS: readonly number[] = Array.from(
  { length: STEPS + 1 },
  (_, i) => (2 * REACH * i) / STEPS - REACH,
);

const SHAPE: LayerShape = { batch: 4, height: 6, width: 6, channels: 8, groups: 2 };
const PLACES = SHAPE.height * SHAPE.width;
/** Prime to PLACES, so that steps of it visit every place. */
const STRIDES = [1, 5, 7, 11, 13, 17, 19, 23] as const;

/**
 * The responses of an untrained layer (v0 = 0, v1 = 1, γ = 1, β = 0). Its moments are those of an input
 * whose every channel of every image has the quantiles of a normal distribution, in another order each: so
 * its mean and deviation are what is wanted, over whichever axes they are taken. The element itself is so
 * small a part of the input that it does not change them.
 */
export const responsesOf = (layer: LayerGraph): Response[] =>
  STATISTICS.map((statistics) => ({ ...statistics, outputs: outputsFor(layer, statistics) }));

function outputsFor(
  layer: LayerGraph,
  { mean, deviation }: { readonly mean: number; readonly deviation: number },
): (number | null)[] {
  const x = NORMAL.map((value) => mean + deviation * value);
  const values = evaluateGraph(layer, SHAPE, { x });
  const builder = new GraphBuilder();
  let id = -1;
  const frozen = transplant(layer, builder, (node, args) => {
    id++;
    return 'index' in node ? builder.const(average(values[id]!)) : builder.copy(node, args);
  });
  const graph = builder.build({ out: frozen[layer.outputs.out]! });
  const shape = { batch: 1, height: 1, width: STEPS + 1, channels: 1, groups: 1 };
  const results = evaluateGraph(graph, shape, { x: Float64Array.from(RESPONSE_INPUTS) });
  const { out } = graph.outputs;
  return [...expand(results[out]!, graph.nodes[out]!.extent, FULL, shape)].map(finiteOrNull);
}

const average = (values: Float64Array): number =>
  values.reduce((sum, value) => sum + value, 0) / values.length;

/** Standard normal quantiles, of mean 0 and variance 1 to the last digits. */
const QUANTILES = (() => {
  const raw = Array.from({ length: PLACES }, (_, i) => probit((i + 0.5) / PLACES));
  const mean = raw.reduce((sum, value) => sum + value, 0) / PLACES;
  const variance = raw.reduce((sum, value) => sum + (value - mean) ** 2, 0) / PLACES;
  return raw.map((value) => (value - mean) / Math.sqrt(variance));
})();

const NORMAL = (() => {
  const { batch, channels } = SHAPE;
  const x = new Float64Array(batch * PLACES * channels);
  for (let i = 0; i < x.length; i++) {
    const channel = i % channels;
    const place = Math.floor(i / channels) % PLACES;
    const image = Math.floor(i / (channels * PLACES));
    x[i] = QUANTILES[(place * STRIDES[channel]! + 9 * image) % PLACES]!;
  }
  return x;
})();
