import { createHash } from 'node:crypto';
import objectHash from 'object-hash';
import { uniformFloat64 } from 'pure-rand/distribution/uniformFloat64';
import { xoroshiro128plus } from 'pure-rand/generator/xoroshiro128plus';
import { trainingGraph } from './adjoint.ts';
import type { LayerShape } from './extent.ts';
import type { LayerGraph } from './graph.ts';
import { compileProgram, type ProgramInputs } from './program.ts';
import { simplify } from './simplify.ts';

/** Equal for layers whose simplified graphs are the same. */
export const structuralKey = (layer: LayerGraph): string =>
  objectHash(
    simplify(layer).nodes.map((node) =>
      'index' in node ? [node.op, node.index, ...node.args] : [node.op, ...node.args],
    ),
    { algorithm: 'sha1', encoding: 'hex', respectType: false },
  );

export type ProbeResult =
  | { readonly verdict: 'ok'; readonly functionalKey: string }
  /** NaN or an infinity in the output or a gradient, on inputs as a network has them. */
  | { readonly verdict: 'not-finite' }
  /** No entry of the output changes with x. */
  | { readonly verdict: 'constant' };

export interface ProbeOptions {
  /** Bits of the mantissa that enter the key: fewer merge more layers. */
  readonly mantissaBits?: number;
}

export function probe(layer: LayerGraph, { mantissaBits = 20 }: ProbeOptions = {}): ProbeResult {
  const graph = trainingGraph(simplify(layer));
  const digest = createHash('sha256');
  let constant = true;
  for (const { shape, inputs, verdict } of CASES) {
    const program = compileProgram(graph, shape);
    program.run(inputs);
    const outputs = Object.values(graph.outputs).map((id) => program.values[id]!);
    if (verdict && !outputs.every((value) => value.every(Number.isFinite)))
      return { verdict: 'not-finite' };
    const floor = 2 ** -40 * program.values.reduce((m, value) => Math.max(m, largest(value)), 0);
    const dx = program.values[graph.outputs.dx]!;
    if (verdict && dx.some((d) => Math.abs(d) >= floor && d !== 0)) constant = false;
    for (const value of outputs) digest.update(rounded(value, mantissaBits, floor));
  }
  if (constant) return { verdict: 'constant' };
  return { verdict: 'ok', functionalKey: digest.digest('hex').slice(0, 40) };
}

function largest(values: Float64Array): number {
  let max = 0;
  for (const v of values) if (Math.abs(v) > max && Number.isFinite(v)) max = Math.abs(v);
  return max;
}

function rounded(values: Float64Array, bits: number, floor: number): Float64Array {
  const split = 2 ** (52 - bits) + 1;
  return values.map((v) => {
    if (Number.isNaN(v)) return Number.NaN;
    if (Math.abs(v) < floor || v === 0) return 0;
    if (Math.abs(v) > 1e290) return v > 0 ? Number.POSITIVE_INFINITY : Number.NEGATIVE_INFINITY;
    const c = v * split;
    return c - (c - v);
  });
}

interface Case {
  readonly shape: LayerShape;
  readonly inputs: ProgramInputs;
  readonly verdict: boolean;
}

const WIDE: LayerShape = { batch: 3, height: 2, width: 3, channels: 8, groups: 2 };
const NARROW: LayerShape = { batch: 2, height: 3, width: 2, channels: 6, groups: 3 };

const CASES: readonly Case[] = [
  makeCase(1, WIDE, 1, 0, true),
  makeCase(2, NARROW, 1, 0.5, true),
  makeCase(3, WIDE, 6, -2, false),
  makeCase(4, NARROW, 0.1, 0.3, false),
];

function makeCase(
  seed: number,
  shape: LayerShape,
  scale: number,
  offset: number,
  verdict: boolean,
): Case {
  const rng = xoroshiro128plus(seed);
  const uniform = () => uniformFloat64(rng);
  const normal = () => (uniform() + uniform() + uniform() + uniform() - 2) * 1.75;
  const { batch, height, width, channels } = shape;
  const full = batch * height * width * channels;
  const fill = (n: number, value: (i: number) => number) =>
    Float64Array.from({ length: n }, (_, i) => value(i));
  const perChannel = fill(channels, normal);
  const perImage = fill(batch, normal);
  return {
    shape,
    verdict,
    inputs: {
      x: fill(
        full,
        (i) =>
          offset +
          scale *
            (normal() +
              0.5 * perChannel[i % channels]! +
              0.5 * perImage[Math.floor(i / (full / batch))]!),
      ),
      dy: fill(full, normal),
      v0: fill(channels, () => normal() / 2),
      v1: fill(channels, () => 1 + normal()),
      gamma: fill(channels, () => 1 + normal() / 3),
      beta: fill(channels, () => normal() / 3),
    },
  };
}
