import { FULL } from '../graph/extent.ts';
import { isInput, type LayerGraph, type Node } from '../graph/graph.ts';
import { type ElementwiseName, EPSILON, isMoment, needsMovingStatistics } from '../graph/ops.ts';
import {
  isClear,
  type Moving,
  movingOf,
  rangeOf,
  STATISTICS,
  type Statistic,
  type StatisticName,
} from './body.ts';
import type { CodeStyle } from './exported.ts';
import { OnnxGraph } from './onnx-graph.ts';
import { INT32 } from './onnx-proto.ts';

/*
 * What a layer computes at inference, in ops of ONNX. Values have the axes of x, of size 1 where they do not
 * vary, so that broadcasting is the layer's; no size is known before the model runs.
 */

type Layout = CodeStyle['layout'];

interface Axes {
  readonly channels: number;
  /** What is reduced, in the order of x. */
  readonly over: Readonly<Record<Exclude<Statistic['over'], 'groups'>, readonly number[]>>;
  /** One entry per channel with the axes of x. */
  readonly perChannel: readonly number[];
  /** What is reduced of a value whose channels are split into groups. */
  readonly members: readonly number[];
  /** The same of a value per image and group, repeated: 0 keeps the batch. */
  readonly repeated: readonly number[];
}

const AXES: Readonly<Record<Layout, Axes>> = {
  nchw: {
    channels: 1,
    over: { batch: [0, 2, 3], image: [1, 2, 3], space: [2, 3] },
    perChannel: [1, -1, 1, 1],
    members: [2],
    repeated: [0, -1, 1, 1],
  },
  nhwc: {
    channels: 3,
    over: { batch: [0, 1, 2], image: [1, 2, 3], space: [1, 2] },
    perChannel: [1, 1, 1, -1],
    members: [1, 3],
    repeated: [0, 1, 1, -1],
  },
};

/** Writes an op as nodes, the last of them called `name`, and returns its value. */
type Lowering = (
  graph: OnnxGraph,
  name: string,
  args: readonly string[],
  /** True where the last argument is known to be no smaller than ε. */
  clear: boolean,
) => string;

const as =
  (opType: string): Lowering =>
  (graph, name, args) =>
    graph.node(opType, args, name);

const epsilon = (graph: OnnxGraph): string => graph.number(EPSILON, 'epsilon');

const zero = (graph: OnnxGraph): string => graph.number(0, 'zero', [1, 1, 1, 1]);

/** sign(a) · f(|a| + ε). */
const signed =
  (opType: string): Lowering =>
  (graph, name, [a]) => {
    const size = graph.node('Abs', [a!], `${name}_abs`);
    const kept = graph.node('Add', [size, epsilon(graph)], `${name}_abs_eps`);
    const root = graph.node(opType, [kept], `${name}_${opType.toLowerCase()}`);
    const sign = graph.node('Sign', [a!], `${name}_sign`);
    return graph.node('Mul', [sign, root], name);
  };

const GUARD =
  'The denominator, or epsilon with its sign (+ at 0) where it is smaller than epsilon.';

function guarded(graph: OnnxGraph, name: string, b: string): string {
  const size = graph.node('Abs', [b], `${name}_abs`);
  const small = graph.node('Less', [size, epsilon(graph)], `${name}_small`);
  const negative = graph.node('Less', [b, zero(graph)], `${name}_negative`);
  const signs = [graph.number(-EPSILON, 'minus_epsilon'), epsilon(graph)];
  const edge = graph.node('Where', [negative, ...signs], `${name}_edge`);
  return graph.node('Where', [small, edge, b], `${name}_guarded`, { doc: GUARD });
}

/** Total over the op table: an op that is missing does not compile. */
const LOWERINGS: Readonly<Record<ElementwiseName, Lowering>> = {
  add: as('Add'),
  mul: as('Mul'),
  div: (graph, name, [a, b], clear) =>
    graph.node('Div', [a!, clear ? b! : guarded(graph, name, b!)], name),
  max: as('Max'),
  neg: as('Neg'),
  sigmoid: as('Sigmoid'),
  tanh: as('Tanh'),
  exp: as('Exp'),
  log: signed('Log'),
  abs: as('Abs'),
  square: (graph, name, [a]) => graph.node('Mul', [a!, a!], name),
  sqrt: signed('Sqrt'),
};

type MomentNode = Extract<Node, { op: keyof typeof STATISTICS }>;

/** The nodes of a layer at inference, and what stands around them. */
export class OnnxBody {
  readonly graph = new OnnxGraph();
  readonly moving: Moving[] = [];
  /** True where the model has an input for the number of groups. */
  readonly grouped: boolean;
  /** What the layer computes, before its affine. */
  readonly out: string;
  readonly #layer: LayerGraph;
  readonly #axes: Axes;
  readonly #layout: Layout;
  readonly #stems = new Map<string, number>();

  constructor(layer: LayerGraph, layout: Layout) {
    this.#layer = layer;
    this.#layout = layout;
    this.#axes = AXES[layout];
    this.grouped = layer.nodes.some((node) => this.#over(node) === 'groups');
    const values: string[] = [];
    for (const [id, node] of layer.nodes.entries())
      values.push(
        this.#value(
          node,
          id,
          node.args.map((arg) => values[arg]!),
        ),
      );
    this.out = values[layer.outputs.out]!;
    this.#affine();
  }

  /** y = gamma * out + beta, of the shape of x. */
  #affine(): void {
    const { graph } = this;
    const isFull = this.#layer.nodes[this.#layer.outputs.out]!.extent === FULL;
    const scaled = graph.node('Mul', [this.#weight('gamma'), this.out], 'scaled');
    const y = graph.node('Add', [scaled, this.#weight('beta')], isFull ? 'y' : 'shifted');
    if (!isFull) graph.node('Expand', [y, this.#shape()], 'y');
  }

  #value(node: Node, id: number, args: readonly string[]): string {
    if (isInput(node.op)) return this.#input(node.op);
    if (isMoment(node.op)) return this.#moment(node as MomentNode, args[0]!);
    const clear = isClear(this.#layer, node.args.at(-1)!);
    const name = id === this.#layer.outputs.out ? 'out' : this.#name('t');
    return LOWERINGS[node.op as ElementwiseName](this.graph, name, args, clear);
  }

  #input(name: string): string {
    if (name === 'x') return name;
    return name === 'zero' ? zero(this.graph) : this.#inner(name);
  }

  /** A weight with the axes of x: one entry per channel, or one for all. */
  #weight(name: string): string {
    const shape = this.graph.whole(this.#axes.perChannel, 'per_channel');
    return this.graph.node('Reshape', [name, shape], `${name}_per_channel`);
  }

  /** A weight that moments may be taken of: groups need an entry for each of their channels. */
  #inner(name: string): string {
    const weight = this.#weight(name);
    if (!this.grouped) return weight;
    return this.graph.node('Expand', [weight, this.#allChannels()], `${name}_of_channels`);
  }

  #over(node: Node): Statistic['over'] | null {
    return 'index' in node ? rangeOf(node.index, this.#layer.nodes[node.args[0]]!.extent) : null;
  }

  #moment(node: MomentNode, a: string): string {
    const { name, root } = STATISTICS[node.op];
    const index = node.index.replace('/', '');
    const statistic = needsMovingStatistics(node.index, this.#layer.nodes[node.args[0]]!.extent)
      ? this.#movingStatistic(node)
      : this.#overAxes(node, a, this.#name(`${name}_${index}`));
    if (!root) return statistic;
    const moment = this.#name(`${node.op}_${index}`);
    const shifted = this.graph.node('Add', [statistic, epsilon(this.graph)], `${moment}_squared`);
    return this.graph.node('Sqrt', [shifted], moment);
  }

  #movingStatistic(node: MomentNode): string {
    const moving = movingOf(node, this.moving.length);
    this.moving.push(moving);
    return this.#inner(moving.name);
  }

  #overAxes(node: MomentNode, a: string, stem: string): string {
    const { name } = STATISTICS[node.op];
    const over = this.#over(node)!;
    return over === 'groups'
      ? this.#overGroups(name, a, stem)
      : this.#statistic(name, a, this.#axes.over[over], stem);
  }

  #statistic(name: StatisticName, a: string, axes: readonly number[], stem: string): string {
    const { graph } = this;
    const meanOf = (value: string, called: string) =>
      graph.node('ReduceMean', [value], called, { attributes: { axes, keepdims: 1 } });
    const meanSquareOf = (value: string) =>
      meanOf(graph.node('Mul', [value, value], `${stem}_square`), stem);
    switch (name) {
      case 'mean':
        return meanOf(a, stem);
      case 'mean_square':
        return meanSquareOf(a);
      case 'variance':
        return meanSquareOf(graph.node('Sub', [a, meanOf(a, `${stem}_mean`)], `${stem}_centred`));
    }
  }

  /** The statistic over space and the channels of a group, repeated for the channels of the group. */
  #overGroups(name: StatisticName, a: string, stem: string): string {
    const { graph } = this;
    const { members, repeated } = this.#axes;
    const groups = graph.node('Reshape', [a, this.#groupedShape()], `${stem}_groups`);
    const statistic = this.#statistic(name, groups, members, `${stem}_of_groups`);
    const copies = graph.node('Expand', [statistic, this.#groupSize()], `${stem}_copies`);
    return graph.node('Reshape', [copies, graph.whole(repeated, 'back')], stem);
  }

  #shape(): string {
    return this.graph.node('Shape', ['x'], 'shape');
  }

  /** The number of channels, as a list of one. */
  #channels(): string {
    const axis = this.graph.whole([this.#axes.channels], 'channel_axis');
    return this.graph.node('Gather', [this.#shape(), axis], 'channels');
  }

  /** The shape that repeats one entry for every channel. */
  #allChannels(): string {
    if (this.#layout === 'nhwc') return this.#channels();
    return this.#joined([this.#channels(), this.graph.whole([1, 1], 'places')], 'all_channels');
  }

  /** Images with their channels split into groups, and space beside the channels of a group. */
  #groupedShape(): string {
    const parts =
      this.#layout === 'nchw'
        ? [this.graph.whole([0], 'images'), this.#groupCount(), this.graph.whole([-1], 'rest')]
        : [this.graph.whole([0, -1], 'images_places'), this.#groupCount(), this.#groupSize()];
    return this.#joined(parts, 'grouped_shape');
  }

  /** The largest divisor of the channels that is at most `groups`, as a list of one. */
  #groupCount(): string {
    const { graph } = this;
    const [none, down] = [graph.whole(0, 'none'), graph.whole(-1, 'down')];
    const counts = graph.node('Range', ['groups', none, down], 'group_counts');
    const rests = graph.node('Mod', [this.#channels(), counts], 'group_rests');
    const divides = graph.node('Equal', [rests, none], 'group_divides');
    const fits = graph.node('Cast', [divides], 'group_fits', { attributes: { to: INT32 } });
    const first = graph.node('ArgMax', [fits], 'group_first', { attributes: { axis: 0 } });
    return graph.node('Gather', [counts, first], 'group_count', { doc: COUNT });
  }

  /** Channels of a group, as a list of one. */
  #groupSize(): string {
    return this.graph.node('Div', [this.#channels(), this.#groupCount()], 'group_size');
  }

  #joined(parts: readonly string[], name: string): string {
    return this.graph.node('Concat', parts, name, { attributes: { axis: 0 } });
  }

  /** The next free name of its stem: t1, t2, … or std_wh, std_wh_2, … */
  #name(stem: string): string {
    const count = (this.#stems.get(stem) ?? 0) + 1;
    this.#stems.set(stem, count);
    return stem === 't' ? `t${count}` : count === 1 ? stem : `${stem}_${count}`;
  }
}

const COUNT = 'The largest divisor of the number of channels that is at most `groups`.';
