import { createHash } from 'node:crypto';
import objectHash from 'object-hash';
import {
  inferenceLayer,
  type MomentNode,
  movingMoments,
  type TrainingGraph,
  type TrainingOutput,
  trainingGraph,
} from './adjoint.ts';
import { CHANNEL, type Extent, FULL, type LayerShape, sizeOf } from './extent.ts';
import type { Graph, LayerGraph } from './graph.ts';
import { moments } from './ops.ts';
import { JITTER, PROBE_CASES, type ProbeCase } from './probe-inputs.ts';
import { type Disturbance, momentsOf, Program, type ProgramOptions } from './program.ts';
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
  arena.clear();
  const prober = new Prober(simplify(layer));
  let constant = true;
  let length = 0;
  for (const probeCase of PROBE_CASES) {
    // The ordinary cases come first.
    if (constant && !probeCase.ordinary) break;
    prober.run(probeCase, exact);
    if (probeCase.ordinary && !fitsFloat32(exact, probeCase)) return { verdict: 'not-finite' };
    if (prober.isConstant) continue;
    prober.run(probeCase, disturbed, DISTURBANCE);
    const scales = naturalScales(probeCase);
    for (const name of OUTPUTS) {
      const size = sizeOf(EXTENTS[name], probeCase.shape);
      const kept = digits.subarray(length, length + size);
      keepSignificant(kept, exact[name], disturbed[name], mantissaBits, scales[name]);
      if (probeCase.ordinary && name === 'dx' && kept.some((d) => d !== 0)) constant = false;
      length += size;
    }
  }
  if (constant) return { verdict: 'constant' };
  // Keys of other precisions never meet those of 20 bits.
  if (mantissaBits !== 20) digits[length++] = mantissaBits;
  return { verdict: 'ok', functionalKey: digestOf(digits.subarray(0, length)) };
}

const digestOf = (values: Float64Array): string =>
  createHash('sha256').update(values).digest('hex').slice(0, 40);

const EXTENTS = {
  y: FULL,
  dx: FULL,
  dv0: CHANNEL,
  dv1: CHANNEL,
  dgamma: CHANNEL,
  dbeta: CHANNEL,
  inference: FULL,
} as const satisfies Readonly<Record<TrainingOutput | 'inference', Extent>>;
type OutputName = keyof typeof EXTENTS;
const OUTPUTS = Object.keys(EXTENTS) as OutputName[];
const TRAINING_OUTPUTS = OUTPUTS.filter((name): name is TrainingOutput => name !== 'inference');

/** What a probe writes to: one at a time in a thread, and none waits for anything. */
type Buffers = Readonly<Record<OutputName, Float64Array>>;
const most = (extent: Extent) => Math.max(...PROBE_CASES.map(({ shape }) => sizeOf(extent, shape)));
const buffers = () =>
  Object.fromEntries(
    OUTPUTS.map((name) => [name, new Float64Array(most(EXTENTS[name]))]),
  ) as Buffers;
const [exact, disturbed] = [buffers(), buffers()];
const digits = new Float64Array(1 + PROBE_CASES.length * OUTPUTS.length * most(FULL));

/** Memory for the values of all programs of a probe. */
class Arena {
  #memory = new Float64Array(2 ** 15);
  #used = 0;

  clear(): void {
    this.#used = 0;
    if (this.#memory.length > LARGEST_KEPT) this.#memory = new Float64Array(2 ** 15);
  }

  readonly allocate = (size: number): Float64Array => {
    if (this.#used + size > this.#memory.length) {
      this.#memory = new Float64Array(2 * (this.#used + size));
      this.#used = 0;
    }
    this.#used += size;
    return this.#memory.subarray(this.#used - size, this.#used);
  };
}

const LARGEST_KEPT = 2 ** 20;
const arena = new Arena();

/** Everything that a key is made of, as a function of the case; programs are kept per shape. */
class Prober {
  readonly #layer: LayerGraph;
  readonly #training: TrainingGraph;
  readonly #inference: LayerGraph | null;
  readonly #moving: readonly MomentNode[];
  readonly #programs = new Map<LayerShape, Programs>();

  constructor(layer: LayerGraph) {
    this.#layer = layer;
    this.#training = trainingGraph(layer);
    this.#moving = movingMoments(layer);
    this.#inference = this.#moving.length > 0 ? inferenceLayer(layer) : null;
  }

  /** True where the form of the layer says that no gradient reaches x. */
  get isConstant(): boolean {
    const { nodes, outputs } = this.#training;
    return nodes[outputs.dx]!.op === 'zero';
  }

  run(probeCase: ProbeCase, into: Buffers, disturbance?: Disturbance): void {
    const { shape, inputs, secondBatch } = probeCase;
    const { training, inference } = this.#programsFor(shape);
    training.load(inputs);
    training.run(disturbance);
    for (const name of TRAINING_OUTPUTS)
      training.read(this.#training.outputs[name], EXTENTS[name], into[name]);
    if (!inference || !this.#inference) {
      into.inference.set(into.y);
      return;
    }
    // At inference moving statistics are the average of two batches.
    const first = this.#statistics(training, shape);
    training.load({ ...inputs, x: secondBatch });
    training.run(disturbance, this.#layer.nodes.length);
    const second = this.#statistics(training, shape);
    const statistics = first.map((s, slot) => s.map((a, i) => (a + second[slot]![i]!) / 2));
    inference.load({ ...inputs, statistics });
    inference.run(disturbance);
    inference.read(this.#inference.outputs.out, FULL, into.inference);
  }

  #programsFor(shape: LayerShape): Programs {
    let programs = this.#programs.get(shape);
    if (!programs) {
      const compile = (graph: Graph) => new Program(graph, shape, OPTIONS);
      const inference = this.#inference && compile(this.#inference);
      programs = { training: compile(this.#training), inference };
      this.#programs.set(shape, programs);
    }
    return programs;
  }

  /** Those of the batch that was run last. A training graph starts with the nodes of the layer. */
  #statistics(training: Program, shape: LayerShape): Float64Array[] {
    return this.#moving.map(({ op, args: [a], extent }) => {
      const { extent: from } = this.#layer.nodes[a]!;
      const { mean, variance } = momentsOf(training.value(a), from, extent, shape, NOISE_FLOOR);
      return mean.map((m, i) => moments[op].statistic(m, variance[i]!));
    });
  }
}

interface Programs {
  readonly training: Program;
  readonly inference: Program | null;
}

/**
 * What a cancellation leaves below this is rounding, and is made 0 before an op makes something of it: the
 * sign of a guarded denominator, a side of max. The disturbance is far smaller.
 */
const NOISE_FLOOR = 2 ** -40;
const OPTIONS: ProgramOptions = { allocate: arena.allocate, noiseFloor: NOISE_FLOOR };
const DISTURBANCE: Disturbance = { factors: JITTER, stride: 37 };

const FLOAT32_MAX = 3.4028234663852886e38;
function fitsFloat32(outputs: Buffers, { shape }: ProbeCase): boolean {
  for (const name of OUTPUTS) {
    const [value, size] = [outputs[name], sizeOf(EXTENTS[name], shape)];
    for (let i = 0; i < size; i++) if (!(Math.abs(value[i]!) <= FLOAT32_MAX)) return false;
  }
  return true;
}

/** Beyond this a value counts as infinite, so that no step of the rounding overflows. */
const HUGE = 1e280;
/** Digits end this many bits below the largest entry of a tensor: saturated functions leave noise further down. */
const FLOOR_BITS = 24;
/** The same below the size that a gradient has where the output follows x or v in proportion. */
const FAINT_BITS = 30;

/** dy is about 1, so that a gradient is about y / x; v0 and v1 are about 1 as well. */
function naturalScales({ shape, inputs }: ProbeCase): Readonly<Record<OutputName, number>> {
  const y = largest(exact.y, sizeOf(FULL, shape));
  const dx = y / largest(inputs.x, inputs.x.length);
  return { y, dx, dv0: y, dv1: y, dgamma: y, dbeta: y, inference: y };
}

/**
 * Writes to `kept` the digits of `values` that any spelling of the function agrees on: `bits` of the
 * mantissa, rounded to nearest, down to a floor that the whole tensor shares. There is one zero and one
 * NaN, for which the largest number stands, since the bits of NaN differ between machines. Entries that
 * the disturbance changed by more than 2⁻¹⁰ of themselves are what rounding left of a cancellation: zero.
 */
function keepSignificant(
  kept: Float64Array,
  values: Float64Array,
  disturbed: Float64Array,
  bits: number,
  scale: number,
): void {
  const floor = Math.max(largest(values, kept.length) * 2 ** -FLOOR_BITS, scale * 2 ** -FAINT_BITS);
  // The sum with a number of this size has no digits below the floor.
  const coarse = floor === 0 ? 0 : 1.5 * 2 ** (Math.floor(Math.log2(floor)) + 52);
  const split = 2 ** (52 - bits) + 1;
  for (let i = 0; i < kept.length; i++) {
    const v = values[i]!;
    if (Number.isNaN(v)) kept[i] = Number.MAX_VALUE;
    else if (!(Math.abs(v) < HUGE)) kept[i] = Math.sign(v) * Number.POSITIVE_INFINITY;
    else if (Math.abs(v - disturbed[i]!) < 2 ** -10 * Math.abs(v)) {
      // Veltkamp's splitting: what is left of v has bits + 1 digits, the leading one included.
      const high = v * split;
      kept[i] = high - (high - v) + coarse - coarse + 0;
    } else kept[i] = 0;
  }
}

function largest(values: Float64Array, count: number): number {
  let max = 0;
  for (let i = 0; i < count; i++) {
    const v = Math.abs(values[i]!);
    if (v < HUGE && v > max) max = v;
  }
  return max;
}
