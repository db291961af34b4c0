import { type Extent, union } from './extent.ts';
import {
  type Graph,
  GraphBuilder,
  isInput,
  type LayerGraph,
  type Node,
  transplant,
  type Value,
} from './graph.ts';
import { elementwise, isElementwise, isMoment, moments, needsMovingStatistics } from './ops.ts';

/** The outputs of a layer and the gradients of everything that it reads. A gradient of a dead input is `zero`. */
export type TrainingOutput = 'y' | 'dx' | 'dv0' | 'dv1' | 'dgamma' | 'dbeta';
export type TrainingGraph = Graph<TrainingOutput>;

const TRAINED = { x: 'dx', v0: 'dv0', v1: 'dv1', gamma: 'dgamma', beta: 'dbeta' } as const;

/** y = γ·layer + β. */
export function forwardGraph(layer: LayerGraph): Graph<'y'> {
  const builder = new GraphBuilder();
  return builder.build({ y: affine(builder, layer) });
}

/**
 * Forward and reverse mode in one graph: y = γ·layer + β, and the gradients of Σ y·dy.
 * Each value's gradient has at most the value's extent; broadcasting is undone by `sumTo`.
 */
export function trainingGraph(layer: LayerGraph): TrainingGraph {
  const builder = new GraphBuilder();
  const y = affine(builder, layer);
  const forward = builder.nodes.slice(0, y.id + 1);
  const gradients = backpropagate(builder, forward, y);
  const gradientOf = (name: keyof typeof TRAINED) =>
    gradients.get(builder.input(name).id) ?? builder.input('zero');
  return builder.build({
    y,
    dx: gradientOf('x'),
    dv0: gradientOf('v0'),
    dv1: gradientOf('v1'),
    dgamma: gradientOf('gamma'),
    dbeta: gradientOf('beta'),
  });
}

/** The layer at inference: moments over the batch read moving statistics, numbered in graph order. */
export function inferenceLayer(layer: LayerGraph): LayerGraph {
  const builder = new GraphBuilder();
  let slot = 0;
  const values = transplant(layer, builder, (node, args) =>
    isMovingMoment(node, layer)
      ? builder.moving(node.op, slot++, node.extent)
      : builder.copy(node, args),
  );
  return builder.build({ out: values[layer.outputs.out] as Value });
}

/** The moments of `layer` that have moving statistics, in the order of their slots. */
export const movingMoments = (layer: LayerGraph) =>
  layer.nodes.filter((node): node is MomentNode => isMovingMoment(node, layer));

export type MomentNode = Extract<Node, { op: 'mean' | 'rms' | 'std' }>;

const isMovingMoment = (node: Node, graph: Graph): node is MomentNode =>
  isMoment(node.op) &&
  'index' in node &&
  needsMovingStatistics(node.index, (graph.nodes[node.args[0]] as Node).extent);

function affine(builder: GraphBuilder, layer: LayerGraph): Value {
  const out = transplant(layer, builder)[layer.outputs.out] as Value;
  const y = builder.input('gamma').mul(out).add(builder.input('beta'));
  return y;
}

/** The gradient of every node that `y` depends on and that depends on something trained, by node id. */
function backpropagate(
  builder: GraphBuilder,
  forward: readonly Node[],
  y: Value,
): Map<number, Value> {
  const gradients = new Map<number, Value>([
    [y.id, unbroadcast(builder.input('dy'), 'bsc', y.extent)],
  ]);
  const values = transplant({ nodes: forward, outputs: {} }, builder);
  const accumulate = (target: Value, gradient: Value, from: Extent) => {
    const due = unbroadcast(gradient, from, target.extent);
    const before = gradients.get(target.id);
    gradients.set(target.id, before ? before.add(due) : due);
  };
  for (let id = forward.length - 1; id >= 0; id--) {
    const node = forward[id] as Node;
    const out = values[id] as Value;
    const grad = gradients.get(out.id);
    if (!grad || isInput(node.op)) continue;
    const args = node.args.map((a) => values[a] as Value);
    if (isMoment(node.op) && 'index' in node) {
      const a = args[0] as Value;
      accumulate(a, moments[node.op].adjoint({ a, out, grad, index: node.index }), a.extent);
    } else if (isElementwise(node.op)) {
      const gradient = elementwise[node.op].adjoint({ args, out, grad });
      for (const [i, a] of args.entries()) accumulate(a, gradient[i] as Value, node.extent);
    }
  }
  return gradients;
}

/**
 * Undoes a broadcast from `to` to `from`. The gradient of a value of extent `from` may itself vary
 * over less than `from`; nothing needs to be summed then where `to` already covers `from`.
 */
const unbroadcast = (gradient: Value, from: Extent, to: Extent): Value =>
  union(from, to) === to ? gradient : gradient.builder.sumTo(gradient, from, to);
