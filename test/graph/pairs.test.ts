import { describe, expect, test } from 'vitest';
import { FULL, type LayerShape } from '../../src/graph/extent.ts';
import type { LayerGraph } from '../../src/graph/graph.ts';
import { evaluateGraph, expand, type LayerInputs } from '../../src/graph/interpreter.ts';
import { PROBE_CASES } from '../../src/graph/probe-inputs.ts';
import { formatLayer } from '../../src/graph/text.ts';
import { compareLayers, overflows } from './equality.ts';
import { generic, ODD_SHAPE, SHAPE, tied } from './inputs.ts';
import { equalPair, keyOf, REWRITINGS, unequalPair } from './pairs.ts';

/** 10,000 for the figures of docs/hashing.md. */
const PAIRS = Number(process.env.EVOLAYER_PAIRS ?? 600);

/**
 * Why two spellings have two keys, or null where it is the probe's fault: what fp64 makes of them on its
 * inputs, without any of its rounding, is not the same, so that they are no one function there.
 */
function reason(a: LayerGraph, b: LayerGraph): string | null {
  for (const { shape, inputs } of PROBE_CASES) {
    if (overflows(a, shape, inputs) || overflows(b, shape, inputs)) return 'overflow';
    const both = [compareLayers(a, b, shape, inputs), compareLayers(b, a, shape, inputs)];
    if (both.some(({ tight }) => !tight)) return 'ill-conditioned';
    if (both.some(({ difference }) => difference !== null)) return 'tie of three';
  }
  return null;
}

const tally = () => {
  const counts = new Map<string, number>();
  const add = (what: string) => counts.set(what, (counts.get(what) ?? 0) + 1);
  return { add, counts, of: (what: string) => counts.get(what) ?? 0 };
};

describe(`${PAIRS} pairs of layers`, () => {
  test('that are one function in two spellings have one key', () => {
    const kinds = tally();
    const missed: string[] = [];
    for (let i = 0; i < PAIRS; i++) {
      const { kind, a, b } = equalPair(i);
      kinds.add(kind);
      if (keyOf(a) !== keyOf(b))
        missed.push(`${i}, ${kind}, ${reason(a, b)}: ${formatLayer(a)} and ${formatLayer(b)}`);
    }
    expect(missed).toEqual([]);
    expect([...kinds.counts.keys()]).toEqual([...REWRITINGS.keys()]);
  }, 600_000);

  test('that are two functions have two keys, but for what no probe input reaches', () => {
    const [different, same] = [tally(), tally()];
    for (let i = 0, pairs = 0; pairs < PAIRS; i++) {
      const { kind, a, b } = unequalPair(i);
      const where = SIGHTS.filter(({ shape, inputs }) => differ(a, b, shape, inputs));
      if (where.length === 0) continue;
      pairs++;
      different.add(kind);
      if (keyOf(a) !== keyOf(b)) continue;
      const ordinary = where.find(({ name }) => PROBE_LIKE.includes(name));
      same.add(kind);
      same.add(ordinary ? 'on ordinary inputs' : where.map(({ name }) => name).join(', '));
      if (process.env.EVOLAYER_PAIRS)
        console.log(
          `${where.map(({ name }) => name)}, ${kind}: ${formatLayer(a)} and ${formatLayer(b)}`,
        );
    }
    if (process.env.EVOLAYER_PAIRS) console.log(different.counts, same.counts);
    expect(different.counts.size).toBe(2);
    // What evolution makes is almost never so narrow; what is made to be narrow is, one time in four.
    expect(same.of('mutated')).toBeLessThanOrEqual(1 + PAIRS / 500);
    expect(same.of('narrow')).toBeLessThan(different.of('narrow') / 3);
    expect(same.of('on ordinary inputs')).toBeLessThanOrEqual(1 + PAIRS / 300);
  }, 600_000);
});

/** Shapes that the probe has not, and what shows there. */
const BROAD: LayerShape = { batch: 4, height: 4, width: 4, channels: 8, groups: 4 };
type Filled = LayerInputs & ReturnType<typeof generic>;
const scaled = (inputs: Filled, scale: number): Filled => ({
  ...inputs,
  x: inputs.x.map((a) => a * scale),
});
const started = (inputs: Filled): Filled => ({
  ...inputs,
  v0: inputs.v0.map(() => 0),
  v1: inputs.v1.map(() => 1),
});
const PROBE_LIKE = ['ordinary', 'odd shape', 'v0 = 0 and v1 = 1'];
const SIGHTS: readonly { name: string; shape: LayerShape; inputs: Filled }[] = [
  { name: 'ordinary', shape: SHAPE, inputs: generic(1, SHAPE) },
  { name: 'odd shape', shape: ODD_SHAPE, inputs: generic(2, ODD_SHAPE) },
  { name: 'v0 = 0 and v1 = 1', shape: BROAD, inputs: started(generic(3, BROAD)) },
  { name: 'zeros and ties', shape: BROAD, inputs: tied(4, BROAD) },
  { name: 'large', shape: BROAD, inputs: scaled(generic(5, BROAD), 8) },
  { name: 'very large', shape: BROAD, inputs: scaled(generic(6, BROAD), 300) },
  { name: 'tiny', shape: BROAD, inputs: scaled(generic(7, BROAD), 1e-4) },
];

/** True where some output of the two is another number in fp64 beyond all doubt, or a number in one alone. */
function differ(a: LayerGraph, b: LayerGraph, shape: LayerShape, inputs: Filled): boolean {
  const [one, other] = [a, b].map((layer) => {
    const values = evaluateGraph(layer, shape, inputs);
    const size = Math.max(...values.map((value) => Math.max(...value.map(Math.abs))));
    const { extent } = layer.nodes[layer.outputs.out]!;
    return { out: expand(values[layer.outputs.out]!, extent, FULL, shape), size };
  });
  return one!.out.some((v, i) => {
    const w = other!.out[i]!;
    const gap = Math.abs(v - w);
    return (
      gap > 1e-4 * Math.max(Math.abs(v), Math.abs(w)) &&
      gap > 1e-9 * Math.max(one!.size, other!.size)
    );
  });
}
