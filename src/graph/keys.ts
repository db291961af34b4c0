import { createHash } from 'node:crypto';
import objectHash from 'object-hash';
import { inferenceLayer, movingMoments, type TrainingOutput, trainingGraph } from './adjoint.ts';
import { CHANNEL, type Extent, FULL, type LayerShape } from './extent.ts';
import type { Graph, LayerGraph } from './graph.ts';
import { batchStatistics, expand } from './interpreter.ts';
import { JITTER, PROBE_CASES, type ProbeCase } from './probe-inputs.ts';
import { compileProgram, type Disturb, type Program, type ProgramInputs } from './program.ts';
import { simplify } from './simplify.ts';

/** Equal for layers whose simplified live graphs are the same; free, but sees no algebra beyond the rules. */
export function structuralKey(layer: LayerGraph): string {
  const nodes = simplify(layer).nodes.map((node) =>
    'index' in node ? [node.op, node.index, ...node.args] : [node.op, ...node.args],
  );
  return objectHash(nodes, { algorithm: 'sha1' });
}

export type ProbeResult =
  | { readonly verdict: 'ok'; readonly functionalKey: string }
  /** NaN or beyond float32 in the output or a gradient, on inputs of the scale that networks have. */
  | { readonly verdict: 'not-finite' }
  /** On such inputs no gradient reaches x, beyond what rounding makes. */
  | { readonly verdict: 'constant' };

export interface ProbeOptions {
  /** Bits of the mantissa that enter the key, 1 to 52: fewer merge more layers. */
  readonly mantissaBits?: number;
}

/**
 * What `layer` computes, as a key: outputs and gradients on fixed inputs in fp64, in training, and at
 * inference where that differs. After "Unified Functional Hashing in AutoML" (arXiv 2302.05433).
 *
 * Every case runs a second time with each intermediate off by about 2⁻⁴⁸ of itself, which shows what
 * of the first run's values is noise, wherever a cancellation happened.
 */
export function probe(layer: LayerGraph, { mantissaBits = 20 }: ProbeOptions = {}): ProbeResult {
  if (!Number.isInteger(mantissaBits) || mantissaBits < 1 || mantissaBits > 52)
    throw new Error(`internal: mantissaBits is 1 to 52, not ${mantissaBits}`);
  const outputsOn = prober(simplify(layer));
  const digits: Float64Array[] = [];
  let constant = true;
  for (const probeCase of PROBE_CASES) {
    const exact = outputsOn(probeCase);
    if (probeCase.ordinary && !exact.every(({ value }) => fitsFloat32(value)))
      return { verdict: 'not-finite' };
    const disturbed = outputsOn(probeCase, jitter);
    const scales = naturalScales(exact, probeCase);
    for (const [i, { name, value }] of exact.entries()) {
      const kept = significant(value, disturbed[i]!.value, mantissaBits, scales[name]);
      if (probeCase.ordinary && name === 'dx' && kept.some((d) => d !== 0)) constant = false;
      digits.push(kept);
    }
  }
  if (constant) return { verdict: 'constant' };
  return { verdict: 'ok', functionalKey: digestOf(digits) };
}

function digestOf(parts: readonly Float64Array[]): string {
  const all = new Float64Array(parts.reduce((sum, { length }) => sum + length, 0));
  let at = 0;
  for (const part of parts) {
    all.set(part, at);
    at += part.length;
  }
  return createHash('sha256').update(all).digest('hex').slice(0, 40);
}

const EXTENTS: Readonly<Record<TrainingOutput, Extent>> = {
  y: FULL,
  dx: FULL,
  dv0: CHANNEL,
  dv1: CHANNEL,
  dgamma: CHANNEL,
  dbeta: CHANNEL,
};

interface Output {
  readonly name: TrainingOutput | 'inference';
  readonly value: Float64Array;
}

/** Everything that a key is made of, as a function of the case; programs are kept per shape. */
function prober(layer: LayerGraph): (probeCase: ProbeCase, disturb?: Disturb) => Output[] {
  const training = programs(trainingGraph(layer));
  const names = Object.keys(EXTENTS) as TrainingOutput[];
  const inference = movingMoments(layer).length > 0 ? inferenceOutput(layer) : null;
  return (probeCase, disturb) => {
    const run = training(probeCase.shape, probeCase.inputs, disturb);
    const outputs: Output[] = names.map((name) => ({ name, value: run(name, EXTENTS[name]) }));
    const inferred = inference ? inference(probeCase, disturb) : outputs[0]!.value;
    return [...outputs, { name: 'inference', value: inferred }];
  };
}

/** The layer at inference, with the average of two batches as moving statistics. */
function inferenceOutput(layer: LayerGraph) {
  const forward = programs(layer);
  const inference = programs(inferenceLayer(layer));
  return ({ shape, inputs, secondBatch }: ProbeCase, disturb?: Disturb): Float64Array => {
    const statisticsOf = (x: Float64Array) =>
      batchStatistics(layer, forward(shape, { ...inputs, x }, disturb).values, shape);
    const [first, second] = [statisticsOf(inputs.x), statisticsOf(secondBatch)];
    const statistics = first.map((s, slot) => s.map((a, i) => (a + second[slot]![i]!) / 2));
    return inference(shape, { ...inputs, statistics }, disturb)('out', FULL);
  };
}

/** Runs `graph` on any shape, compiled once for each; the result reads its outputs. */
function programs<Output extends string>(graph: Graph<Output>) {
  const compiled = new Map<LayerShape, Program>();
  return (shape: LayerShape, inputs: ProgramInputs, disturb?: Disturb) => {
    const program = compiled.get(shape) ?? compileProgram(graph, shape);
    compiled.set(shape, program);
    program.run(inputs, disturb);
    const read = (name: Output, extent: Extent) => {
      const id = graph.outputs[name];
      const { extent: own } = graph.nodes[id]!;
      const value = program.values[id]!;
      return own === extent ? value.slice() : expand(value, own, extent, shape);
    };
    return Object.assign(read, { values: program.values });
  };
}

const jitter: Disturb = (value, node) => {
  for (let i = 0; i < value.length; i++) value[i]! *= JITTER[(37 * node + i) & 255]!;
};

const FLOAT32_MAX = 3.4028234663852886e38;
function fitsFloat32(values: Float64Array): boolean {
  for (const v of values) if (!(Math.abs(v) <= FLOAT32_MAX)) return false;
  return true;
}

/** Beyond this a value counts as infinite, so that no step of the rounding overflows. */
const HUGE = 1e280;
/** Digits end this many bits below the largest entry of a tensor: saturated functions leave noise further down. */
const FLOOR_BITS = 24;
/** The same below the size that a gradient has where the output follows x or v in proportion. */
const FAINT_BITS = 30;

/** dy is about 1, so that a gradient is about y / x; v0 and v1 are about 1 as well. */
function naturalScales(outputs: readonly Output[], { inputs }: ProbeCase) {
  const y = largest(outputs[0]!.value);
  return { y, dx: y / largest(inputs.x), dv0: y, dv1: y, dgamma: y, dbeta: y, inference: y };
}

/**
 * `values` with the digits that any spelling of the function agrees on: `bits` of the mantissa, rounded
 * to nearest, down to a floor that the whole tensor shares. There is one zero and one NaN, for which the
 * largest number stands, since the bits of NaN differ between machines. Entries that the disturbance
 * changed by more than 2⁻¹⁰ of themselves are what rounding left of a cancellation: zero.
 */
function significant(
  values: Float64Array,
  disturbed: Float64Array,
  bits: number,
  scale: number,
): Float64Array {
  const floor = Math.max(largest(values) * 2 ** -FLOOR_BITS, scale * 2 ** -FAINT_BITS);
  // The sum with a number of this size has no digits below the floor.
  const coarse = floor === 0 ? 0 : 1.5 * 2 ** (Math.floor(Math.log2(floor)) + 52);
  const split = 2 ** (52 - bits) + 1;
  const kept = new Float64Array(values.length);
  for (let i = 0; i < kept.length; i++) {
    const v = values[i]!;
    if (Number.isNaN(v)) kept[i] = Number.MAX_VALUE;
    else if (!(Math.abs(v) < HUGE)) kept[i] = Math.sign(v) * Number.POSITIVE_INFINITY;
    else if (Math.abs(v - disturbed[i]!) < 2 ** -10 * Math.abs(v)) {
      // Veltkamp's splitting: what is left of v has bits + 1 digits, the leading one included.
      const high = v * split;
      kept[i] = high - (high - v) + coarse - coarse + 0;
    }
  }
  return kept;
}

function largest(values: Float64Array): number {
  let max = 0;
  for (const v of values) if (Math.abs(v) < HUGE) max = Math.max(max, Math.abs(v));
  return max;
}
