import type * as z from 'zod';
import { UserError } from '../errors.ts';
import { forwardGraph } from '../graph/adjoint.ts';
import { CHANNEL, effectiveGroups, FULL, type LayerShape, sizeOf } from '../graph/extent.ts';
import type { LayerGraph } from '../graph/graph.ts';
import { evaluateGraph, expand } from '../graph/interpreter.ts';
import { momentsOf } from '../graph/program.ts';
import type { TrainingSetup } from './engine.ts';
import { initialParameters } from './initial.ts';
import {
  type Distribution,
  distributionOf,
  finiteOrNull,
  type JacobianSummary,
  jacobianSummary,
  type Moments,
  momentsOfAll,
  normalValues,
} from './inspect-layer.ts';
import { type Network, tensorShapes } from './network.ts';
import { propagate } from './reference.ts';
import { resnet } from './resnet.ts';
import { settings, wholeNumber } from './settings.ts';

/** Of what a layer is inspected in. */
export const inspectionShape = settings({
  /** Residual blocks, in three stages. */
  depth: wholeNumber(1, 300),
  /** Channels inside of the blocks of the first stage; twice as many between them. */
  width: wholeNumber(1, 256),
  /** In the batch. */
  images: wholeNumber(1, 1024),
  seed: wholeNumber(0, 2 ** 32 - 1),
  /** Wanted groups of `whc/g`. */
  groups: wholeNumber(1, 1024),
});

export type InspectionSettings = z.output<typeof inspectionShape>;

export const INSPECTION_DEFAULTS: InspectionSettings = {
  ...{ depth: 30, width: 16, images: 8, seed: 0, groups: 8 },
};

/** Height and width of the images. */
export const SIDE = 8;
const STAGES = 3;

/** Of a tensor, by channel over batch and space, averaged over the channels; null where that is not finite. */
export interface ChannelMoments {
  readonly squaredMean: number | null;
  readonly variance: number | null;
}

/** One residual block at initialisation. */
export interface BlockSignal {
  /** From 1. */
  readonly block: number;
  readonly stage: number;
  /** Of the residual stream behind the block. */
  readonly stream: ChannelMoments;
  /** Of what the block adds to it. */
  readonly branch: ChannelMoments;
  /** Of what comes out of the block's first layer, which reads the stream. */
  readonly output: ChannelMoments;
  /** ‖∂L/∂stream‖₂ of one image, as the root of the mean of its square; null where that is not finite. */
  readonly gradient: number | null;
}

/** A layer that reads `input`: where from, and what it makes of it. */
export interface Response {
  readonly input: Moments;
  readonly output: Distribution;
}

export interface Inspection {
  readonly blocks: readonly BlockSignal[];
  /** The first block, in the direction of the pass, with values that single precision does not hold; null where there is none. */
  readonly overflow: { readonly forward: number | null; readonly backward: number | null };
  readonly normal: Response;
  /** In the network: the first layer of the block in the middle. */
  readonly network: Response & { readonly block: number };
  readonly jacobian: JacobianSummary;
}

/**
 * How a layer treats signals before any training, in fp64. Signal propagation is that of Brock et al. 2021
 * (arXiv 2101.08692): a pre-activation residual network with He initialisation on images of standard normal
 * noise. The loss is L = Σ u·y, where y is the output of the last layer and u a random vector of length 1
 * for every image, so that ‖∂L/∂stream‖ is the mean of what a Jacobian does, whatever a classifier would ask.
 */
export function inspectLayer(layer: LayerGraph, settings: InspectionSettings): Inspection {
  const { width, images, seed, groups } = settings;
  const { blocks, overflow, middle } = inspectNetwork(layer, settings);
  const shape = { batch: images, height: SIDE, width: SIDE, channels: width, groups };
  return {
    ...{ blocks, overflow, network: middle },
    normal: normalResponse(layer, { ...shape, groups: effectiveGroups(width, groups) }, seed),
    jacobian: jacobianSummary(layer, groups, seed),
  };
}

function normalResponse(layer: LayerGraph, shape: LayerShape, seed: number): Response {
  const x = normalValues(sizeOf(FULL, shape), seed, 'input');
  const graph = forwardGraph(layer);
  const { y } = graph.outputs;
  const value = evaluateGraph(graph, shape, { x })[y]!;
  const output = expand(value, graph.nodes[y]!.extent, FULL, shape);
  return { input: momentsOfAll(x), output: distributionOf(output) };
}

/** What all tensors of an inspection and their gradients may take, in bytes. */
const MEMORY = 2 ** 32;

/** Throws a UserError where the inspection of a layer would take more memory than most machines have to spare. */
export function refuseHuge(layer: LayerGraph, settings: InspectionSettings): void {
  const sizes = tensorShapes(inspectedNetwork(settings)).map(
    ({ height, width, channels }) => height * width * channels,
  );
  // A layer and its adjoint have some four values per node of the layer.
  const inLayer = 4 * layer.nodes.length * Math.max(...sizes);
  const tensors = 2 * sizes.reduce((a, b) => a + b, 0);
  // What is no longer needed stays a while: the whole program was seen to take 2.4 times as much.
  const bytes = 2.5 * 8 * settings.images * (tensors + inLayer);
  if (bytes <= MEMORY) return;
  const gigabytes = (bytes / 2 ** 30).toFixed(1);
  throw new UserError(
    `The inspection would take ${gigabytes} GB of memory; with fewer blocks, channels or images it must come to 4 GB or less.`,
    2,
  );
}

/** The network without a classifier: its last tensor is the output of the layer behind the last block. */
export function inspectedNetwork({ depth, width }: InspectionSettings): Network {
  const stages = Array.from({ length: STAGES }, (_, i) =>
    Math.floor((depth + STAGES - 1 - i) / STAGES),
  );
  const image = { height: SIDE, width: SIDE, channels: 3 };
  const spec = { name: 'inspect', image, classes: 1, width, expansion: 2 };
  const whole = resnet({ ...spec, stages: stages.filter((blocks) => blocks > 0) });
  return { ...whole, ops: whole.ops.slice(0, -2) };
}

/** The tensors of a block. */
interface BlockPlace {
  readonly stage: number;
  /** The first one behind the stream that comes in, which is the output of the first layer. */
  readonly first: number;
  /** What comes in. */
  readonly input: number;
  readonly branch: number;
  /** The stream behind the block, and its last tensor. */
  readonly stream: number;
}

export function blocksOf(network: Network): BlockPlace[] {
  const shapes = tensorShapes(network);
  const places: BlockPlace[] = [];
  network.ops.forEach((op, i) => {
    if (op.op !== 'add') return;
    const input = places.at(-1)?.stream ?? 1;
    const before = places.at(-1);
    const widens = before === undefined || shapes[i + 1]!.channels > shapes[input]!.channels;
    const stage = (before?.stage ?? 0) + Number(widens);
    places.push({ stage, first: input + 1, input, branch: op.inputs[0], stream: i + 1 });
  });
  return places;
}

function inspectNetwork(layer: LayerGraph, settings: InspectionSettings) {
  const network = inspectedNetwork(settings);
  const shapes = tensorShapes(network);
  const { tensors, gradients } = signals(network, layer, settings);
  const channelMoments = (tensor: number) =>
    channelMomentsOf(tensors[tensor]!, { ...shapes[tensor]!, batch: settings.images, groups: 1 });
  const places = blocksOf(network);
  const blocks = places.map(({ stage, first, branch, stream }, i): BlockSignal => {
    const square = gradients[stream]!.reduce((sum, d) => sum + d * d, 0);
    return {
      ...{ block: i + 1, stage, stream: channelMoments(stream) },
      ...{ branch: channelMoments(branch), output: channelMoments(first) },
      gradient: finiteOrNull(Math.sqrt(square / settings.images)),
    };
  });
  const over = (all: readonly Float64Array[]) =>
    places.flatMap(({ first, stream }, i) =>
      all.slice(first, stream + 1).some(leavesSinglePrecision) ? [i + 1] : [],
    );
  const middle = places[Math.floor(places.length / 2)]!;
  return {
    blocks,
    overflow: { forward: over(tensors)[0] ?? null, backward: over(gradients).at(-1) ?? null },
    middle: {
      block: places.indexOf(middle) + 1,
      input: momentsOfAll(tensors[middle.input]!),
      output: distributionOf(tensors[middle.first]!),
    },
  };
}

/** All tensors of the network and their gradients. */
function signals(
  network: Network,
  layer: LayerGraph,
  { images, seed, groups }: InspectionSettings,
) {
  const setup: TrainingSetup = {
    batch: images,
    groups,
    movingDecay: 0,
    momentum: 0,
    weightDecay: 0,
  };
  const parameters = initialParameters(network, layer, `inspect ${seed}`);
  const { height, width, channels } = network.image;
  const noise = Float32Array.from(normalValues(images * height * width * channels, seed, 'images'));
  const { height: h, width: w, channels: c } = tensorShapes(network).at(-1)!;
  return propagate(network, layer, setup, parameters, noise, unitVectors(images, h * w * c, seed));
}

/** So many random vectors of length 1, one behind the other. */
function unitVectors(count: number, size: number, seed: number): Float64Array {
  const vectors = normalValues(count * size, seed, 'cotangent');
  for (let n = 0; n < count; n++) {
    const vector = vectors.subarray(n * size, (n + 1) * size);
    const length = Math.hypot(...vector);
    vector.forEach((a, i) => {
      vector[i] = a / length;
    });
  }
  return vectors;
}

function channelMomentsOf(tensor: Float64Array, shape: LayerShape): ChannelMoments {
  const { mean, variance } = momentsOf(tensor, FULL, CHANNEL, shape);
  const average = (values: Float64Array) =>
    finiteOrNull(values.reduce((a, b) => a + b, 0) / values.length);
  return { squaredMean: average(mean.map((m) => m * m)), variance: average(variance) };
}

/** The greatest number of single precision, in which networks are trained. */
const GREATEST = 3.4028234663852886e38;

const leavesSinglePrecision = (tensor: Float64Array): boolean =>
  tensor.some((a) => !(Math.abs(a) <= GREATEST));
