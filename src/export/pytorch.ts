import { channelAxis, FULL } from '../graph/extent.ts';
import { isInput, type LayerGraph, type Node } from '../graph/graph.ts';
import {
  type ElementwiseName,
  EPSILON,
  isElementwise,
  isMoment,
  type MomentName,
  moments,
  needsMovingStatistics,
} from '../graph/ops.ts';
import { atom, type Code, call, type Exprs, negative, product, quotient, sum } from './code.ts';
import type { CodeStyle, Exported } from './exported.ts';
import { indent, moduleDoc, pythonFloat, signature } from './python.ts';

/*
 * A layer as a PyTorch module. Every value has four axes, of size 1 where the value does not vary, so
 * that PyTorch's broadcasting is the layer's; values per group are repeated for the group's channels,
 * which changes no later moment, because groups are equally large. Autograd then gives the layer's
 * gradients: torch.maximum halves them at ties, and torch.abs and torch.sign have derivative 0 at 0.
 */

/** The module's source, as `ruff format` leaves it. */
export function pytorch(exported: Exported, { className, layout }: CodeStyle): string {
  const axes = AXES[layout];
  const body = new Body(exported.layer, axes);
  const preamble = [moduleDoc(exported), ...imports(body)].join('\n\n');
  const module = [
    [`class ${className}(nn.Module):`, ...indent(classDoc(body, axes))],
    indent(body.buffers.map(({ name }) => `${name}: Tensor`)),
    indent(constructorSource(exported, body)),
    indent(forwardSource(body, axes)),
    body.buffers.length > 0 ? indent(overBatch(axes)) : [],
    body.grouped ? indent(overGroups(axes)) : [],
  ];
  const blocks = module.filter((block) => block.length > 0).map((block) => block.join('\n'));
  return `${[preamble, ...body.helpers(), blocks.join('\n\n')].join('\n\n\n')}\n`;
}

type MomentNode = Extract<Node, { op: MomentName }>;

/** What an expression may use beyond its arguments. */
interface Context {
  /** Makes a helper function part of the module, and returns its name. */
  readonly use: (helper: Helper) => Helper;
  /** True where the last argument is known to be no smaller than ε. */
  readonly clear: boolean;
}

const EPS = atom('self.eps');

const exprs: Exprs<ElementwiseName, Context> = {
  add: sum,
  mul: product,
  div: ([a, b], { use, clear }) => quotient([a!, clear ? b! : call(use('_guard'))([b!, EPS])]),
  max: call('torch.maximum'),
  neg: negative,
  sigmoid: call('torch.sigmoid'),
  tanh: call('torch.tanh'),
  exp: call('torch.exp'),
  log: ([a], { use }) => call(use('_signed_log'))([a!, EPS]),
  abs: call('torch.abs'),
  square: call('torch.square'),
  sqrt: ([a], { use }) => call(use('_signed_sqrt'))([a!, EPS]),
};

/** What a moment is made of: the statistic that moves, and whether the moment is its root. */
const STATISTICS = {
  mean: { name: 'mean', root: false },
  rms: { name: 'mean_square', root: true },
  std: { name: 'variance', root: true },
} as const satisfies Record<MomentName, { name: string; root: boolean }>;

const HELPERS = {
  _guard: `\
def _guard(b: Tensor, eps: float) -> Tensor:
    """b, or eps with the sign of b (+ at 0) where b is smaller than eps."""
    b = torch.where((b >= 0) & (b < eps), eps, b)
    return torch.where((b < 0) & (b > -eps), -eps, b)`,
  _signed_log: `\
def _signed_log(a: Tensor, eps: float) -> Tensor:
    return torch.sign(a) * torch.log(torch.abs(a) + eps)`,
  _signed_sqrt: `\
def _signed_sqrt(a: Tensor, eps: float) -> Tensor:
    return torch.sign(a) * torch.sqrt(torch.abs(a) + eps)`,
  _wide: `\
def _wide(a: Tensor) -> Tensor:
    """Moments are taken in single precision at least."""
    return a.float() if a.dtype in (torch.float16, torch.bfloat16) else a`,
  _mean: `\
def _mean(a: Tensor, dims: tuple[int, ...]) -> Tensor:
    return _wide(a).mean(dims, keepdim=True)`,
  _mean_square: `\
def _mean_square(a: Tensor, dims: tuple[int, ...]) -> Tensor:
    return _wide(a).square().mean(dims, keepdim=True)`,
  _variance: `\
def _variance(a: Tensor, dims: tuple[int, ...]) -> Tensor:
    return _wide(a).var(dims, correction=0, keepdim=True)`,
} as const;

type Helper = keyof typeof HELPERS;

/** Where the axes are; `grouped` is for the tensor whose channel axis is split into groups and their members. */
const AXES = {
  nchw: {
    shape: '(N, C, H, W)',
    channels: 1,
    space: '(2, 3)',
    batch: '(0, 2, 3)',
    perChannel: 'view(1, -1, 1, 1)',
    grouped: { dims: '(2, 3, 4)', spread: '-1, -1, self.group_size, -1, -1', merge: '1, 2' },
  },
  nhwc: {
    shape: '(N, H, W, C)',
    channels: 3,
    space: '(1, 2)',
    batch: '(0, 1, 2)',
    perChannel: 'view(1, 1, 1, -1)',
    grouped: { dims: '(1, 2, 4)', spread: '-1, -1, -1, -1, self.group_size', merge: '3, 4' },
  },
} as const;

type Axes = (typeof AXES)[keyof typeof AXES];

/** The parts of longer ones get names, so that no line has to be broken. */
const LONGEST_EXPRESSION = 64;
const LONGEST_ARGUMENT = 12;
const LINE = 88;

interface Buffer {
  readonly name: string;
  readonly perChannel: boolean;
  readonly initial: number;
}

/** The statements that compute the layer's output, and what they need around them. */
class Body {
  readonly statements: string[] = [];
  readonly buffers: Buffer[] = [];
  readonly inputs: ReadonlySet<string>;
  grouped = false;
  readonly #helpers = new Set<Helper>();
  readonly #stems = new Map<string, number>();
  readonly #codes: Code[] = [];
  readonly #layer: LayerGraph;
  readonly #axes: Axes;

  constructor(layer: LayerGraph, axes: Axes) {
    this.#layer = layer;
    this.#axes = axes;
    this.inputs = new Set(layer.nodes.map((node) => node.op).filter(isInput));
    const uses = countUses(layer);
    for (const [id, node] of layer.nodes.entries()) {
      const code = this.#code(node);
      const shared = uses[id]! > 1 && isElementwise(node.op);
      this.#codes.push(shared ? this.#assign('t', code.text) : code);
    }
    const { out } = layer.outputs;
    this.statements.push(`out = ${this.#codes[out]!.text}`);
    if (layer.nodes[out]!.extent !== FULL) this.statements.push('out = out.expand_as(x)');
  }

  get usesEps(): boolean {
    return this.statements.some((line) => line.includes(EPS.text));
  }

  /** The functions that the statements call. */
  helpers(): string[] {
    const names = Object.keys(HELPERS) as Helper[];
    return names.filter((name) => this.#helpers.has(name)).map((name) => HELPERS[name]);
  }

  readonly #use = (helper: Helper): Helper => {
    this.#helpers.add(helper);
    return helper;
  };

  #code(node: Node): Code {
    const args = node.args.map((id) => this.#codes[id]!);
    if (isInput(node.op)) return atom(node.op);
    if (isMoment(node.op)) return this.#moment(node as MomentNode, args[0]!);
    return this.#expression(node.op as ElementwiseName, args, {
      use: this.#use,
      clear: isClear(this.#layer, node.args.at(-1)!),
    });
  }

  /** Names the longest argument as long as the whole is too long. */
  #expression(op: ElementwiseName, args: readonly Code[], context: Context): Code {
    const code = exprs[op](args, context);
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
    const statistic = this.#assign(`${name}_${index}`, this.#statistic(node, argument));
    if (!root) return statistic;
    return this.#assign(`${node.op}_${index}`, `torch.sqrt(${statistic.text} + ${EPS.text})`);
  }

  #statistic(node: MomentNode, argument: string): string {
    const { extent } = this.#layer.nodes[node.args[0]]!;
    const { batch, space } = this.#axes;
    const helper = this.#use(`_${STATISTICS[node.op].name}`);
    this.#use('_wide');
    const over = (dims: string) => `${helper}(${argument}, ${dims})`;
    switch (node.index) {
      case 'bwh':
        if (!needsMovingStatistics(node.index, extent)) return over(batch);
        return `self._over_batch(${argument}, ${helper}, self.${this.#buffer(node)})`;
      case 'whc':
        return over('(1, 2, 3)');
      case 'wh':
        return over(space);
      case 'whc/g':
        if (channelAxis(extent) === '') return over(space);
        this.grouped = true;
        return `self._over_groups(${argument}, ${helper})`;
    }
  }

  #buffer({ op, extent }: MomentNode): string {
    const name = `moving_${STATISTICS[op].name}_${this.buffers.length}`;
    const initial = moments[op].initialStatistic;
    this.buffers.push({ name, perChannel: channelAxis(extent) !== '', initial });
    return name;
  }

  /** Gives an expression the next free name of its stem: t1, t2, … or std_wh, std_wh_2, … */
  #assign(stem: string, expression: string): Code {
    const count = (this.#stems.get(stem) ?? 0) + 1;
    this.#stems.set(stem, count);
    const name = stem === 't' ? `t${count}` : count === 1 ? stem : `${stem}_${count}`;
    this.statements.push(...broken(`${name} = ${expression}`));
    return atom(name);
  }
}

/** A call that is too long for one line of a method, in three. */
function broken(line: string): string[] {
  if (line.length <= LINE - 8) return [line];
  const open = line.indexOf('(') + 1;
  return [line.slice(0, open), `    ${line.slice(open, -1)}`, ')'];
}

/** True where a node's value is at least ε by construction (or NaN): dividing by it needs no guard. */
function isClear({ nodes }: Pick<LayerGraph, 'nodes'>, id: number): boolean {
  const { op, args } = nodes[id]!;
  if (op === 'max') return args.some((arg) => isClear({ nodes }, arg));
  return op === 'rms' || op === 'std';
}

function countUses({ nodes }: LayerGraph): number[] {
  const uses = nodes.map(() => 0);
  for (const { args } of nodes) for (const id of args) uses[id]!++;
  return uses;
}

const imports = ({ buffers, grouped }: Body): string[] => [
  ...(buffers.length > 0 || grouped ? ['from collections.abc import Callable'] : []),
  'import torch\nfrom torch import Tensor, nn',
];

function classDoc({ grouped, buffers }: Body, { shape }: Axes): string[] {
  const notes = [
    ...(grouped ? ['Groups: the largest divisor of the channels that is at most `groups`.'] : []),
    ...(buffers.length > 0
      ? [
          'Moments over the batch read moving statistics in evaluation:',
          's = decay * s + (1 - decay) * statistic of the batch, its variance biased.',
        ]
      : []),
  ];
  const first = `Input and output: ${shape}.`;
  return notes.length > 0 ? [`"""${first}`, '', ...notes, '"""'] : [`"""${first}"""`];
}

function constructorSource({ groups, movingDecay }: Exported, body: Body): string[] {
  const moving = body.buffers.length > 0;
  const options = [
    ...(body.grouped ? [`groups: int = ${groups}`] : []),
    ...(body.usesEps ? [`eps: float = ${pythonFloat(EPSILON)}`] : []),
    ...(moving ? [`decay: float = ${pythonFloat(movingDecay)}`] : []),
  ];
  const parameters = ['self', 'channels: int', ...(options.length > 0 ? ['*', ...options] : [])];
  return [
    ...signature('__init__', parameters, 'None'),
    ...indent([
      'super().__init__()',
      ...(body.grouped ? GROUPING : []),
      ...(body.usesEps ? ['self.eps = eps'] : []),
      ...(moving ? ['self.decay = decay'] : []),
      ...trained(body).map(
        (name) => `self.${name} = nn.Parameter(torch.${INITIAL[name]}(channels))`,
      ),
      ...body.buffers.map(registered),
    ]),
  ];
}

const GROUPING = [
  'divisors = (g for g in range(min(groups, channels), 0, -1) if channels % g == 0)',
  'self.groups = next(divisors)',
  'self.group_size = channels // self.groups',
];

const INITIAL = { v0: 'zeros', v1: 'ones', gamma: 'ones', beta: 'zeros' } as const;

const trained = ({ inputs }: Body) =>
  (['v0', 'v1', 'gamma', 'beta'] as const).filter((name) => !/^v/.test(name) || inputs.has(name));

const registered = ({ name, perChannel, initial }: Buffer): string =>
  `self.register_buffer("${name}", torch.${initial ? 'ones' : 'zeros'}(${perChannel ? 'channels' : 1}))`;

function forwardSource(body: Body, { channels, perChannel, shape }: Axes): string[] {
  const wanted = shape.replace('C', '{channels}');
  return [
    ...signature('forward', ['self', 'x: Tensor'], 'Tensor'),
    ...indent([
      'channels = self.gamma.numel()',
      `if x.dim() != 4 or x.size(${channels}) != channels:`,
      `    raise ValueError(f"expected ${wanted}, not {tuple(x.shape)}")`,
      ...(body.inputs.has('zero') ? ['zero = x.new_zeros(1, 1, 1, 1)'] : []),
      ...trained(body).map((name) => `${name} = self.${name}.${perChannel}`),
      ...body.statements,
      'return (gamma * out + beta).to(x.dtype)',
    ]),
  ];
}

const STATISTIC = 'statistic: Callable[[Tensor, tuple[int, ...]], Tensor]';

const overBatch = ({ batch, perChannel }: Axes): string[] => [
  ...signature('_over_batch', ['self', 'a: Tensor', STATISTIC, 'moving: Tensor'], 'Tensor'),
  ...indent([
    '"""The statistic of this batch in training, the moving one in evaluation."""',
    'if not self.training:',
    `    return moving.${perChannel}`,
    `batch = statistic(a, ${batch})`,
    'with torch.no_grad():',
    '    moving.lerp_(batch.flatten().to(moving.dtype), 1 - self.decay)',
    'return batch',
  ]),
];

const overGroups = ({ channels, grouped }: Axes): string[] => [
  ...signature('_over_groups', ['self', 'a: Tensor', STATISTIC], 'Tensor'),
  ...indent([
    '"""The statistic over space and a group, repeated for the channels of the group."""',
    `groups = a.unflatten(${channels}, (self.groups, self.group_size))`,
    `moment = statistic(groups, ${grouped.dims})`,
    `return moment.expand(${grouped.spread}).flatten(${grouped.merge})`,
  ]),
];
