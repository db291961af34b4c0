import type { IndexSet, LayerShape } from '../../src/graph/extent.ts';
import type { LayerGraph, Node } from '../../src/graph/graph.ts';
import type { LayerInputs } from '../../src/graph/interpreter.ts';

const EPS = 1e-5;
const signed = (a: number, magnitude: number) => (a > 0 ? magnitude : a < 0 ? -magnitude : 0);

/** The primitives as the design states them, written a second time. */
const FORMULAS: Readonly<Record<string, (a: number, b: number) => number>> = {
  add: (a, b) => a + b,
  mul: (a, b) => a * b,
  div: (a, b) => a / (b >= EPS || b <= -EPS ? b : b < 0 ? -EPS : EPS),
  max: (a, b) => (a > b ? a : b),
  neg: (a) => 0 - a,
  sigmoid: (a) => Math.exp(-Math.log1p(Math.exp(-a))),
  tanh: (a) => 1 - 2 / (Math.exp(2 * a) + 1),
  exp: (a) => Math.E ** a,
  log: (a) => signed(a, Math.log(Math.abs(a) + EPS)),
  abs: (a) => (a < 0 ? -a : a),
  square: (a) => a ** 2,
  sqrt: (a) => signed(a, (Math.abs(a) + EPS) ** 0.5),
};

/**
 * An evaluator that shares nothing with the interpreter: every value is broadcast to a full tensor, and
 * every moment collects the entries that agree on the axes outside its index set.
 */
export function naive(layer: LayerGraph, shape: LayerShape, inputs: LayerInputs): number[] {
  const { batch, height, width, channels, groups } = shape;
  const places: { b: number; c: number }[] = [];
  for (let b = 0; b < batch; b++)
    for (let h = 0; h < height; h++)
      for (let w = 0; w < width; w++) for (let c = 0; c < channels; c++) places.push({ b, c });
  const cell: Record<IndexSet, (at: { b: number; c: number }) => string> = {
    bwh: ({ c }) => `${c}`,
    whc: ({ b }) => `${b}`,
    wh: ({ b, c }) => `${b},${c}`,
    'whc/g': ({ b, c }) => `${b},${Math.floor(c / (channels / groups))}`,
  };
  const values: number[][] = [];
  const evaluate = (node: Node): number[] => {
    if (node.op === 'x') return [...inputs.x];
    if (node.op === 'zero') return places.map(() => 0);
    if (node.op === 'v0') return places.map(({ c }) => inputs.v0?.[c] ?? 0);
    if (node.op === 'v1') return places.map(({ c }) => inputs.v1?.[c] ?? 1);
    const a = values[node.args[0]!]!;
    const b = values[node.args[1] ?? 0]!;
    if (!('index' in node)) return a.map((p, i) => FORMULAS[node.op]!(p, b[i]!));
    const cells = new Map<string, number[]>();
    for (const [i, place] of places.entries()) {
      const name = cell[node.index](place);
      cells.set(name, [...(cells.get(name) ?? []), i]);
    }
    const result = a.map(() => 0);
    for (const members of cells.values()) {
      const average = (f: (p: number) => number) =>
        members.reduce((sum, i) => sum + f(a[i]!), 0) / members.length;
      const mean = average((p) => p);
      const moment = {
        mean: () => mean,
        rms: () => Math.sqrt(average((p) => p * p) + EPS),
        std: () => Math.sqrt(average((p) => (p - mean) ** 2) + EPS),
      }[node.op as 'mean' | 'rms' | 'std']();
      for (const i of members) result[i] = moment;
    }
    return result;
  };
  for (const node of layer.nodes) values.push(evaluate(node));
  const out = values[layer.outputs.out]!;
  return out.map((v, i) => {
    const { c } = places[i]!;
    return (inputs.gamma?.[c] ?? 1) * v + (inputs.beta?.[c] ?? 0);
  });
}
