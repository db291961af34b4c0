import { channelAxis, type Extent, FULL, type IndexSet } from '../graph/extent.ts';
import { isInput, type LayerGraph, type Node } from '../graph/graph.ts';
import {
  type ElementwiseName,
  isElementwise,
  isMoment,
  type MomentName,
  moments,
  needsMovingStatistics,
} from '../graph/ops.ts';
import { atom, type Code, type Exprs } from './code.ts';

/*
 * The statements that compute a layer's output, in any language with tensors. Every value has the axes of
 * the input, of size 1 where it does not vary, so that broadcasting is the layer's; values per group are
 * repeated for the group's channels, which changes no later moment, because groups are equally large.
 * Gradients are the target's own business: its ops must have the layer's derivatives.
 */

/** What is taken over some axes: a mean of the values, of their squares, or the biased variance. */
export type StatisticName = 'mean' | 'mean_square' | 'variance';

/** What a moment is made of: its statistic, and whether it is the root of statistic + ε. */
export const STATISTICS = {
  mean: { name: 'mean', root: false },
  rms: { name: 'mean_square', root: true },
  std: { name: 'variance', root: true },
} as const satisfies Record<MomentName, { name: StatisticName; root: boolean }>;

/** A statistic as a target writes it. */
export interface Statistic {
  readonly name: StatisticName;
  /** What it is taken of. */
  readonly argument: string;
  /** `image` is all axes but the first; `groups` are those of the channel axis, and space. */
  readonly over: 'batch' | 'image' | 'space' | 'groups';
  /** The moving statistic that stands for it at inference. */
  readonly moving: string | null;
}

/** A moving statistic. */
export interface Moving {
  readonly name: string;
  readonly statistic: StatisticName;
  /** Else it is one number. */
  readonly perChannel: boolean;
  /** What it starts from. */
  readonly initial: 0 | 1;
}

/** What an expression may use beyond its arguments. */
export interface Context<Helper extends string> {
  /** Makes a helper function part of the module, and returns its name. */
  readonly use: (helper: Helper) => Helper;
  /** True where the last argument is known to be no smaller than ε. */
  readonly clear: boolean;
}

/** How a target writes what a layer is made of. */
export interface Dialect<Helper extends string> {
  readonly exprs: Exprs<ElementwiseName, Context<Helper>>;
  readonly statistic: (statistic: Statistic, use: (helper: Helper) => Helper) => string;
  /** The root of a statistic + ε. */
  readonly root: (statistic: Code) => string;
  /** Gives an expression a name. */
  readonly assign: (name: string, expression: string) => readonly string[];
  /** Statements that give `out` the shape of `x`. */
  readonly expand: readonly string[];
  /** The names that statements give to statistics, in the language's case. */
  readonly nameOf: (stem: string) => string;
}

/** The parts of longer expressions get names, so that no line has to be broken. */
const LONGEST_EXPRESSION = 64;
const LONGEST_ARGUMENT = 12;

type MomentNode = Extract<Node, { op: MomentName }>;

/** What a moment is taken over, of a value of that extent: one without channels has no groups either. */
export function rangeOf(index: IndexSet, argument: Extent): Statistic['over'] {
  if (index === 'whc/g') return channelAxis(argument) === '' ? 'space' : 'groups';
  return RANGES[index];
}

const RANGES = { bwh: 'batch', whc: 'image', wh: 'space' } as const;

/** The moving statistic of a slot. */
export function movingOf({ op, extent }: Pick<MomentNode, 'op' | 'extent'>, slot: number): Moving {
  const statistic = STATISTICS[op].name;
  return {
    name: `moving_${statistic}_${slot}`,
    statistic,
    perChannel: channelAxis(extent) !== '',
    initial: moments[op].initialStatistic as 0 | 1,
  };
}

/** The statements that compute the layer's output as `out`, and what they need around them. */
export class Body<Helper extends string> {
  readonly statements: string[] = [];
  readonly moving: Moving[] = [];
  /** The leaves that are read: `x`, `zero`, `v0`, `v1`. */
  readonly inputs: ReadonlySet<string>;
  /** True where a statistic is taken over groups. */
  grouped = false;
  readonly #helpers = new Set<Helper>();
  readonly #stems = new Map<string, number>();
  readonly #codes: Code[] = [];
  readonly #layer: LayerGraph;
  readonly #dialect: Dialect<Helper>;

  constructor(layer: LayerGraph, dialect: Dialect<Helper>) {
    this.#layer = layer;
    this.#dialect = dialect;
    this.inputs = new Set(layer.nodes.map((node) => node.op).filter(isInput));
    const uses = countUses(layer);
    for (const [id, node] of layer.nodes.entries()) {
      const code = this.#code(node);
      const shared = uses[id]! > 1 && isElementwise(node.op);
      this.#codes.push(shared ? this.#assign('t', code.text) : code);
    }
    const { out } = layer.outputs;
    this.statements.push(...dialect.assign('out', this.#codes[out]!.text));
    if (layer.nodes[out]!.extent !== FULL) this.statements.push(...dialect.expand);
  }

  /** True where a statement contains `text`. */
  mentions(text: string): boolean {
    return this.statements.some((line) => line.includes(text));
  }

  /** Of the helper functions, in their order, those that the statements call. */
  helpers(sources: Readonly<Record<Helper, string>>): string[] {
    const names = Object.keys(sources) as Helper[];
    return names.filter((name) => this.#helpers.has(name)).map((name) => sources[name]);
  }

  /** Makes a helper function part of the module. */
  readonly use = (helper: Helper): Helper => {
    this.#helpers.add(helper);
    return helper;
  };

  #code(node: Node): Code {
    const args = node.args.map((id) => this.#codes[id]!);
    if (isInput(node.op)) return atom(node.op);
    if (isMoment(node.op)) return this.#moment(node as MomentNode, args[0]!);
    return this.#expression(node.op as ElementwiseName, args, {
      use: this.use,
      clear: isClear(this.#layer, node.args.at(-1)!),
    });
  }

  /** Names the longest argument as long as the whole is too long. */
  #expression(op: ElementwiseName, args: readonly Code[], context: Context<Helper>): Code {
    const code = this.#dialect.exprs[op](args, context);
    if (code.text.length <= LONGEST_EXPRESSION) return code;
    const longest = args.reduce((a, b) => (b.text.length > a.text.length ? b : a));
    const name = this.#assign('t', longest.text);
    return this.#expression(
      op,
      args.map((a) => (a === longest ? name : a)),
      context,
    );
  }

  #moment(node: MomentNode, { text }: Code): Code {
    const argument = text.length > LONGEST_ARGUMENT ? this.#assign('t', text).text : text;
    const index = node.index.replace('/', '');
    const { name, root } = STATISTICS[node.op];
    const expression = this.#dialect.statistic(this.#statistic(node, argument), this.use);
    const statistic = this.#assign(`${name}_${index}`, expression);
    return root ? this.#assign(`${node.op}_${index}`, this.#dialect.root(statistic)) : statistic;
  }

  #statistic(node: MomentNode, argument: string): Statistic {
    const { extent } = this.#layer.nodes[node.args[0]]!;
    const over = rangeOf(node.index, extent);
    this.grouped ||= over === 'groups';
    const moves = needsMovingStatistics(node.index, extent);
    const { name } = STATISTICS[node.op];
    return { name, argument, over, moving: moves ? this.#moving(node) : null };
  }

  #moving(node: MomentNode): string {
    const moving = movingOf(node, this.moving.length);
    const name = this.#dialect.nameOf(moving.name);
    this.moving.push({ ...moving, name });
    return name;
  }

  /** Gives an expression the next free name of its stem: t1, t2, … or std_wh, std_wh_2, … */
  #assign(stem: string, expression: string): Code {
    const count = (this.#stems.get(stem) ?? 0) + 1;
    this.#stems.set(stem, count);
    const numbered = stem === 't' ? `t${count}` : count === 1 ? stem : `${stem}_${count}`;
    const name = this.#dialect.nameOf(numbered);
    this.statements.push(...this.#dialect.assign(name, expression));
    return atom(name);
  }
}

/** True where a node's value is at least ε by construction (or NaN): dividing by it needs no guard. */
export function isClear({ nodes }: Pick<LayerGraph, 'nodes'>, id: number): boolean {
  const { op, args } = nodes[id]!;
  if (op === 'max') return args.some((arg) => isClear({ nodes }, arg));
  return op === 'rms' || op === 'std';
}

function countUses({ nodes }: LayerGraph): number[] {
  const uses = nodes.map(() => 0);
  for (const { args } of nodes) for (const id of args) uses[id]!++;
  return uses;
}
