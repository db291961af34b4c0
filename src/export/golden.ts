import { movingMoments } from '../graph/adjoint.ts';
import { effectiveGroups, type LayerShape, sizeOf } from '../graph/extent.ts';
import type { LayerGraph } from '../graph/graph.ts';
import { expand, inferLayer, type LayerResult, trainLayer } from '../graph/interpreter.ts';
import { moments } from '../graph/ops.ts';

/** Weights, as exports call them. */
export const PARAMETERS = ['v0', 'v1', 'gamma', 'beta'] as const;
export type ParameterName = (typeof PARAMETERS)[number];
type Parameters = Readonly<Record<ParameterName, Float64Array>>;

/** One step: an input, the gradient that its output gets, and what the reference makes of them. */
export interface GoldenStep {
  /** Batch × height × width × channels. */
  readonly x: Float64Array;
  readonly dy: Float64Array;
  readonly result: LayerResult;
}

/** What a layer computes, by the fp64 interpreter: two training steps with the same weights, then inference. */
export interface Golden {
  readonly shape: LayerShape;
  /** As an export is asked for it; `shape` has the effective number. */
  readonly groups: number;
  readonly parameters: Parameters;
  readonly steps: readonly [GoldenStep, GoldenStep];
  readonly inference: GoldenStep;
  /** Moving statistics after the two steps, one array per slot: one number, or one per channel. */
  readonly statistics: readonly Float64Array[];
}

type Batch = Pick<GoldenStep, 'x' | 'dy'>;
/** Weights, and batches for two training steps and inference. */
export type Draws = Parameters & { readonly batches: readonly [Batch, Batch, Batch] };

/** The vectors of `layer` on given data: three batches, the last for inference. */
function goldenOn(
  layer: LayerGraph,
  wanted: LayerShape,
  decay: number,
  { batches, ...parameters }: Draws,
): Golden {
  const shape = { ...wanted, groups: effectiveGroups(wanted.channels, wanted.groups) };
  const slots = movingMoments(layer);
  let statistics = slots.map(({ op, extent }) =>
    new Float64Array(sizeOf(extent, shape)).fill(moments[op].initialStatistic),
  );
  const train = ({ x, dy }: Batch): GoldenStep => {
    const inputs = { ...parameters, x, dy };
    const { statistics: batch, ...result } = trainLayer(layer, shape, inputs);
    statistics = statistics.map((s, slot) =>
      s.map((value, i) => decay * value + (1 - decay) * batch[slot]![i]!),
    );
    return { x, dy, result };
  };
  const [first, second, { x, dy }] = batches;
  const steps = [train(first), train(second)] as const;
  const result = inferLayer(layer, shape, { ...parameters, x, dy, statistics });
  const perChannel = statistics.map((value, slot) => {
    const { extent } = slots[slot]!;
    return extent === '' ? value : expand(value, extent, 'c', shape);
  });
  const inference = { x, dy, result };
  return { shape, groups: wanted.groups, parameters, steps, inference, statistics: perChannel };
}

/** What self-tests run on: small enough to print, every axis of another size. */
const SHAPE: LayerShape = { batch: 2, height: 2, width: 3, channels: 4, groups: 2 };
/** Inputs have this many decimals. */
const DECIMALS = 2;
/** A disturbance of the size of single precision's rounding. */
const DISTURBANCE = 1e-6;
/** What it may change where single precision can follow. */
export const CALM = 3e-5;
const ATTEMPTS = 200;

/** The vectors that an exported file carries. */
export const golden = (layer: LayerGraph, decay: number): Golden =>
  calmestGolden(layer, SHAPE, decay, drawn, ATTEMPTS).golden;

/**
 * The vectors of the first of several draws on which the layer is smooth: where single precision and double
 * precision see the same side of every kink. Where there is none, those of the draw that comes closest.
 */
export function calmestGolden(
  layer: LayerGraph,
  shape: LayerShape,
  decay: number,
  draw: (seed: number) => Draws,
  attempts: number,
): Disturbed {
  let calmest: Disturbed | null = null;
  for (let seed = 1; seed <= attempts; seed++) {
    const found = disturbedGolden(layer, shape, decay, draw(seed), DISTURBANCE);
    if (!calmest || found.change < calmest.change) calmest = found;
    if (found.change < CALM) break;
  }
  return calmest!;
}

/** Vectors, and how far a disturbance of the data changes them; see `sensitivity`. */
export interface Disturbed {
  readonly golden: Golden;
  readonly change: number;
}

/** The vectors on given data, disturbed by `share` of each number. */
export function disturbedGolden(
  layer: LayerGraph,
  shape: LayerShape,
  decay: number,
  draws: Draws,
  share: number,
): Disturbed {
  const found = goldenOn(layer, shape, decay, draws);
  const change = sensitivity(found, goldenOn(layer, shape, decay, disturbed(draws, share)));
  return { golden: found, change };
}

function drawn(seed: number): Draws {
  const next = numbers(seed);
  const { batch, height, width, channels } = SHAPE;
  const draw = (count: number, center: number, spread: number) =>
    Float64Array.from({ length: count }, () => rounded(center + spread * next()));
  const size = batch * height * width * channels;
  const images = (): Batch => ({ x: draw(size, 0.2, 2), dy: draw(size, 0, 1) });
  return {
    v0: draw(channels, 0, 0.5),
    v1: draw(channels, 1, 0.5),
    gamma: draw(channels, 1, 0.3),
    beta: draw(channels, 0, 1),
    batches: [images(), images(), images()],
  };
}

const rounded = (value: number): number => Math.round(value * 10 ** DECIMALS) / 10 ** DECIMALS;

/** The same data, each number off by a share of itself. */
function disturbed({ batches, ...parameters }: Draws, share: number): Draws {
  let sign = 1;
  const shake = (values: Float64Array) =>
    values.map((value) => {
      sign = -sign;
      return value * (1 + sign * share);
    });
  const shaken = Object.fromEntries(PARAMETERS.map((name) => [name, shake(parameters[name])]));
  const again = ({ x, dy }: Batch): Batch => ({ x: shake(x), dy: shake(dy) });
  const [first, second, third] = batches;
  return {
    ...(shaken as unknown as Parameters),
    batches: [again(first), again(second), again(third)],
  };
}

/** The largest change of an entry, relative to the largest entry of its tensor and to 1; NaN counts as infinite. */
function sensitivity(a: Golden, b: Golden): number {
  const tensors = ({ steps, inference }: Golden) =>
    [...steps, inference].flatMap(({ result }) => Object.values(result) as Float64Array[]);
  const [before, after] = [tensors(a), tensors(b)];
  let worst = 0;
  for (const [i, values] of before.entries()) {
    const scale = values.reduce((max, value) => Math.max(max, Math.abs(value)), 1);
    for (const [j, value] of values.entries()) {
      const change = Math.abs(value - after[i]![j]!) / scale;
      worst = Math.max(worst, Number.isNaN(change) ? Number.POSITIVE_INFINITY : change);
    }
  }
  return worst;
}

/** Uniform in ±1 from a linear congruential generator, which is enough here; the same numbers every time. */
export function numbers(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return (state >>> 8) / 2 ** 23 - 1;
  };
}

/** A named vector of a self-test. */
export interface NamedVector {
  readonly name: string;
  readonly values: Float64Array;
}

const STEP_NAMES = ['first', 'second', 'inference'] as const;

/**
 * The vectors by the names that self-tests read them by: weights by their own, then `first.x`, `first.dy`,
 * `first.y`, `first.dx`, `first.dv0`, … of each step, and moving statistics by the names of `moving`.
 * `live` are the weights that the layer has; `order` puts images into the export's order of axes.
 */
export function namedVectors(
  { parameters, steps, inference, statistics, shape }: Golden,
  live: readonly ParameterName[],
  moving: readonly string[],
  layout: 'nchw' | 'nhwc',
): NamedVector[] {
  const order = (values: Float64Array) =>
    layout === 'nchw' ? channelsFirst(values, shape) : values;
  const stepVectors = ({ x, dy, result }: GoldenStep, step: string): NamedVector[] => [
    { name: `${step}.x`, values: order(x) },
    { name: `${step}.dy`, values: order(dy) },
    { name: `${step}.y`, values: order(result.y) },
    { name: `${step}.dx`, values: order(result.dx) },
    ...live.map((name) => ({ name: `${step}.d${name}`, values: result[`d${name}`] })),
  ];
  return [
    ...live.map((name) => ({ name, values: parameters[name] })),
    ...[...steps, inference].flatMap((step, i) => stepVectors(step, STEP_NAMES[i]!)),
    ...statistics.map((values, i) => ({ name: moving[i]!, values })),
  ];
}

function channelsFirst(values: Float64Array, { batch, height, width, channels }: LayerShape) {
  const places = height * width;
  const out = new Float64Array(values.length);
  for (let n = 0; n < batch; n++)
    for (let s = 0; s < places; s++)
      for (let c = 0; c < channels; c++)
        out[(n * channels + c) * places + s] = values[(n * places + s) * channels + c]!;
  return out;
}

/** Digits that a golden number is printed with. */
const DIGITS = 8;

/** Vectors as text: `name value value …;`, in lines of at most `width` characters. */
export function goldenLines(vectors: readonly NamedVector[], width: number): string[] {
  const lines: string[] = [];
  for (const { name, values } of vectors) {
    const words = [
      name,
      ...Array.from(values, (value) => String(Number(value.toPrecision(DIGITS)))),
    ];
    words.push(`${words.pop()};`);
    let line = '';
    for (const word of words) {
      if (line !== '' && line.length + 1 + word.length > width) {
        lines.push(line);
        line = word;
      } else line = line === '' ? word : `${line} ${word}`;
    }
    lines.push(line);
  }
  return lines;
}
