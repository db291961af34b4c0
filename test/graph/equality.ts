import { movingMoments, trainingGraph } from '../../src/graph/adjoint.ts';
import { CHANNEL, FULL, type LayerShape } from '../../src/graph/extent.ts';
import type { LayerGraph } from '../../src/graph/graph.ts';
import {
  evaluateGraph,
  expand,
  inferLayer,
  type LayerInputs,
  type LayerResult,
  trainLayer,
} from '../../src/graph/interpreter.ts';
import { Program } from '../../src/graph/program.ts';
import { stream } from './inputs.ts';

type Inputs = LayerInputs;
const OUTPUTS = ['y', 'dx', 'dv0', 'dv1', 'dgamma', 'dbeta'] as const;

const noise = stream(9)
  .array(256)
  .map((u) => 1 + u * 2 ** -40);

/** The training outputs with every intermediate off by about 2⁻⁴⁰ of itself. Zeros stay zeros; other ties break. */
function disturbedTraining(layer: LayerGraph, shape: LayerShape, inputs: Inputs): LayerResult {
  const graph = trainingGraph(layer);
  const program = new Program(graph, shape);
  program.load(inputs);
  program.run({ factors: noise, stride: 31 });
  const output = (name: (typeof OUTPUTS)[number]) => {
    const id = graph.outputs[name];
    const to = name === 'y' || name === 'dx' ? FULL : CHANNEL;
    return expand(program.value(id), graph.nodes[id]!.extent, to, shape);
  };
  return Object.fromEntries(OUTPUTS.map((name) => [name, output(name)])) as never;
}

/** Inference with the average of two batches as moving statistics. */
function infer(layer: LayerGraph, shape: LayerShape, inputs: Inputs): LayerResult {
  const first = trainLayer(layer, shape, inputs).statistics;
  const second = trainLayer(layer, shape, { ...inputs, x: inputs.x.map((a) => 2 - a / 2) });
  const statistics = first.map((s, slot) =>
    s.map((a, i) => (a + second.statistics[slot]![i]!) / 2),
  );
  return inferLayer(layer, shape, { ...inputs, statistics });
}

/** True where intermediates are so large that the order of a product decides whether it overflows. */
export const overflows = (layer: LayerGraph, shape: LayerShape, inputs: Inputs): boolean =>
  evaluateGraph(layer, shape, inputs).some((value) => value.some((v) => Math.abs(v) > 1e60));

export interface Comparison {
  /** The first entry that differs by more than rounding explains. */
  readonly difference: string | null;
  /** True where rounding explains next to nothing: the layer is well conditioned on these inputs. */
  readonly tight: boolean;
}

/** Compares values and gradients of two layers, in training and at inference, entry by entry. */
export function compareLayers(
  a: LayerGraph,
  b: LayerGraph,
  shape: LayerShape,
  inputs: Inputs,
): Comparison {
  const trained = trainLayer(a, shape, inputs);
  const disturbed = disturbedTraining(a, shape, inputs);
  const modes = movingMoments(a).length > 0 ? [trainLayer, infer] : [trainLayer];
  let tight = true;
  for (const mode of modes) {
    const [wanted, found] = [mode(a, shape, inputs), mode(b, shape, inputs)];
    for (const name of OUTPUTS) {
      const finite = [...wanted[name]].filter(Number.isFinite).map(Math.abs);
      const size = Math.max(1e-3, ...finite);
      for (const [i, value] of wanted[name].entries()) {
        const change = Math.abs(trained[name][i]! - disturbed[name][i]!);
        const allowed = 1e-9 * size + 1e3 * (Number.isFinite(change) ? change : 0);
        if (allowed > 1e-6 * size) tight = false;
        const other = found[name][i]!;
        const same = Number.isFinite(value)
          ? Math.abs(value - other) <= allowed
          : Object.is(value, other);
        if (!same)
          return { difference: `${mode.name} ${name}[${i}]: ${other}, not ${value}`, tight };
      }
    }
  }
  return { difference: null, tight };
}
