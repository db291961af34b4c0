import { EPSILON } from '../graph/ops.ts';
import { Body, type Dialect, type Moving, type Statistic } from './body.ts';
import { atom, call, negative, product, quotient, sum } from './code.ts';
import type { CodeStyle, Exported } from './exported.ts';
import { golden, namedVectors, type ParameterName } from './golden.ts';
import {
  goldenSource,
  indent,
  moduleDoc,
  pythonBroken,
  pythonFloat,
  signature,
  tuple,
} from './python.ts';

/*
 * A layer as a PyTorch module of plain operations, which torch.compile, torch.export and the ONNX exporter
 * take. Autograd gives the layer's gradients: torch.maximum halves them at ties, and torch.abs and
 * torch.sign have derivative 0 at 0.
 */

/** The module's source, as `ruff format` leaves it, with a self-test at its end. */
export function pytorch(exported: Exported, { className, layout }: CodeStyle): string {
  const module = new Module(exported, AXES[layout]);
  const { body } = module;
  const class_ = [
    [`class ${className}(nn.Module):`, ...indent(module.doc())],
    indent(body.moving.map(({ name }) => `${name}: Tensor`)),
    indent(module.constructorSource()),
    indent(module.forward()),
    body.moving.length > 0 ? indent(module.overBatch()) : [],
    body.grouped ? indent(module.overGroups()) : [],
  ];
  const moving = body.moving.map(({ name }) => name);
  const vectors = golden(exported.layer, exported.movingDecay);
  const blocks = [
    [moduleDoc(exported), ...module.imports()].join('\n\n'),
    ...body.helpers(HELPERS),
    class_
      .filter((block) => block.length > 0)
      .map((block) => block.join('\n'))
      .join('\n\n'),
    goldenSource(namedVectors(vectors, module.trained, moving, layout)),
    module.selfTest(className, vectors.shape, vectors.groups).join('\n'),
    'if __name__ == "__main__":\n    _self_test()',
  ];
  return `${blocks.join('\n\n\n')}\n`;
}

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
    sequence: '(N, C, L)',
    width: 3,
    channels: 1,
    space: [2, 3],
    batch: [0, 2, 3],
    perChannel: 'view(1, -1, 1, 1)',
    grouped: { dims: '(2, 3, 4)', spread: '-1, -1, self.group_size, -1, -1', merge: '1, 2' },
    sizes: ['batch', 'channels', 'height', 'width'],
  },
  nhwc: {
    shape: '(N, H, W, C)',
    sequence: '(N, L, C)',
    width: 2,
    channels: 3,
    space: [1, 2],
    batch: [0, 1, 2],
    perChannel: 'view(1, 1, 1, -1)',
    grouped: { dims: '(1, 2, 4)', spread: '-1, -1, -1, -1, self.group_size', merge: '3, 4' },
    sizes: ['batch', 'height', 'width', 'channels'],
  },
} as const;

type Axes = (typeof AXES)[keyof typeof AXES];

const EPS = atom('self.eps');

const dialectOn = ({ batch, space }: Axes): Dialect<Helper> => ({
  exprs: {
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
  },
  statistic: ({ name, argument, over, moving }: Statistic, use) => {
    const helper = use(`_${name}`);
    use('_wide');
    if (moving) return `self._over_batch(${argument}, ${helper}, self.${moving})`;
    if (over === 'groups') return `self._over_groups(${argument}, ${helper})`;
    const dims = { batch, space, image: [1, 2, 3] }[over];
    return `${helper}(${argument}, ${tuple(dims)})`;
  },
  root: (statistic) => `torch.sqrt(${statistic.text} + ${EPS.text})`,
  assign: (name, expression) => pythonBroken(`${name} = ${expression}`, 8),
  expand: ['out = out.expand_as(x)'],
  nameOf: (name) => name,
});

const STATISTIC = 'statistic: Callable[[Tensor, tuple[int, ...]], Tensor]';

/** What v0 and v1 start from. */
const INITIAL = { v0: 'zeros', v1: 'ones' } as const;

class Module {
  readonly body: Body<Helper>;
  readonly #exported: Exported;
  readonly #axes: Axes;

  constructor(exported: Exported, axes: Axes) {
    this.#exported = exported;
    this.#axes = axes;
    this.body = new Body(exported.layer, dialectOn(axes));
  }

  get trained(): ParameterName[] {
    return [...this.#inner, 'gamma', 'beta'];
  }

  /** The trained inputs of the graph. */
  get #inner(): ('v0' | 'v1')[] {
    return (['v0', 'v1'] as const).filter((name) => this.body.inputs.has(name));
  }

  get #usesEps(): boolean {
    return this.body.mentions(EPS.text);
  }

  imports(): string[] {
    const { moving, grouped } = this.body;
    return [
      ...(moving.length > 0 || grouped ? ['from collections.abc import Callable'] : []),
      'import torch\nfrom torch import Tensor, nn',
    ];
  }

  doc(): string[] {
    const { grouped, moving } = this.body;
    const { shape, sequence } = this.#axes;
    const notes = [
      ...(grouped
        ? ['groups: the largest divisor of `channels` that is at most this is taken.']
        : []),
      ...(moving.length > 0
        ? [
            'momentum: of the moving statistics, which evaluation reads in place of moments over the',
            '    batch: s = (1 - momentum) * s + momentum * statistic of the batch, its variance biased.',
          ]
        : []),
      'affine: whether the output is scaled by gamma and shifted by beta, per channel.',
      'zero_init: gamma starts at 0, for the last layer of a residual branch.',
    ];
    return [`"""Input and output: ${shape}, or ${sequence}.`, '', ...notes, '"""'];
  }

  constructorSource(): string[] {
    const { groups, movingDecay } = this.#exported;
    const { body } = this;
    const moving = body.moving.length > 0;
    const options = [
      ...(body.grouped ? [`groups: int = ${groups}`] : []),
      ...(this.#usesEps ? [`eps: float = ${pythonFloat(EPSILON)}`] : []),
      ...(moving ? [`momentum: float = ${pythonFloat(momentumOf(movingDecay))}`] : []),
      'affine: bool = True',
      'zero_init: bool = False',
    ];
    return [
      ...signature('__init__', ['self', 'channels: int', '*', ...options], 'None'),
      ...indent([
        'super().__init__()',
        'self.channels = channels',
        ...(body.grouped ? GROUPING : []),
        ...(this.#usesEps ? ['self.eps = eps'] : []),
        ...(moving ? ['self.momentum = momentum'] : []),
        ...this.#inner.map(
          (name) => `self.${name} = nn.Parameter(torch.${INITIAL[name]}(channels))`,
        ),
        ...AFFINE,
        ...body.moving.map(registered),
      ]),
    ];
  }

  forward(): string[] {
    const { channels, perChannel, shape, width } = this.#axes;
    const wanted = shape.replace('C', '{self.channels}');
    return [
      ...signature('forward', ['self', 'x: Tensor'], 'Tensor'),
      ...indent([
        'if x.dim() == 3:',
        `    return self.forward(x.unsqueeze(${width})).squeeze(${width})`,
        `if x.dim() != 4 or x.size(${channels}) != self.channels:`,
        `    wanted = f"${wanted}"`,
        '    raise ValueError(f"expected {wanted}, not {tuple(x.shape)}")',
        ...(this.body.inputs.has('zero') ? ['zero = x.new_zeros(1, 1, 1, 1)'] : []),
        ...this.#inner.map((name) => `${name} = self.${name}.${perChannel}`),
        ...this.body.statements,
        'if self.gamma is not None:',
        `    out = self.gamma.${perChannel} * out + self.beta.${perChannel}`,
        'return out.to(x.dtype)',
      ]),
    ];
  }

  overBatch(): string[] {
    const { batch, perChannel } = this.#axes;
    return [
      ...signature('_over_batch', ['self', 'a: Tensor', STATISTIC, 'moving: Tensor'], 'Tensor'),
      ...indent([
        '"""The statistic of this batch in training, the moving one in evaluation."""',
        'if not self.training:',
        `    return moving.${perChannel}`,
        `batch = statistic(a, ${tuple(batch)})`,
        'with torch.no_grad():',
        '    moving.lerp_(batch.flatten().to(moving.dtype), self.momentum)',
        'return batch',
      ]),
    ];
  }

  overGroups(): string[] {
    const { channels, grouped } = this.#axes;
    return [
      ...signature('_over_groups', ['self', 'a: Tensor', STATISTIC], 'Tensor'),
      ...indent([
        '"""The statistic over space and a group, repeated for the channels of the group."""',
        `groups = a.unflatten(${channels}, (self.groups, self.group_size))`,
        `moment = statistic(groups, ${grouped.dims})`,
        `return moment.expand(${grouped.spread}).flatten(${grouped.merge})`,
      ]),
    ];
  }

  selfTest(
    className: string,
    shape: Readonly<Record<'batch' | 'height' | 'width' | 'channels', number>>,
    groups: number,
  ): string[] {
    const sizes = this.#axes.sizes.map((axis) => shape[axis]);
    const options = this.body.grouped ? `, groups=${groups}` : '';
    return [
      'def _self_test() -> None:',
      ...indent([
        '"""Two training steps and one in evaluation, against a reference in double precision."""',
        `layer = ${className}(${shape.channels}${options}).double()`,
        'for name, parameter in layer.named_parameters():',
        '    parameter.data = _golden(name)',
        'for step in ("first", "second", "inference"):',
        '    layer.train(step != "inference")',
        '    layer.zero_grad()',
        `    x = _golden(f"{step}.x").view(${sizes.join(', ')}).requires_grad_()`,
        '    y = layer(x)',
        '    y.backward(_golden(f"{step}.dy").view_as(y))',
        '    _check(f"{step}.y", y)',
        '    _check(f"{step}.dx", x.grad)',
        '    for name, parameter in layer.named_parameters():',
        '        _check(f"{step}.d{name}", parameter.grad)',
        ...(this.body.moving.length > 0
          ? ['for name, buffer in layer.named_buffers():', '    _check(name, buffer)']
          : []),
      ]),
      '',
      '',
      'def _golden(name: str) -> Tensor:',
      ...indent([
        'vectors = dict(vector.split(maxsplit=1) for vector in _GOLDEN.split(";")[:-1])',
        'values = [float(value) for value in vectors[name].split()]',
        'return torch.tensor(values, dtype=torch.float64)',
      ]),
      '',
      '',
      'def _check(name: str, actual: Tensor | None) -> None:',
      ...indent([
        'expected = _golden(name)',
        'actual = torch.zeros_like(expected) if actual is None else actual.detach().flatten()',
        'scale = max(1.0, expected.abs().max().item())',
        'difference = (actual - expected).abs().max().item() / scale',
        'print(f"{name}: {expected.numel()} values, off by {difference:.1e} at most")',
        'if not difference < 1e-6:',
        '    raise SystemExit(f"{name} is {actual.tolist()}, not {expected.tolist()}")',
      ]),
    ];
  }
}

/** PyTorch's momentum is the share of the new. */
const momentumOf = (decay: number): number => Number((1 - decay).toPrecision(12));

const GROUPING = [
  'divisors = (g for g in range(min(groups, channels), 0, -1) if channels % g == 0)',
  'self.groups = next(divisors)',
  'self.group_size = channels // self.groups',
];

const AFFINE = [
  'if affine:',
  '    initial = torch.zeros(channels) if zero_init else torch.ones(channels)',
  '    self.gamma = nn.Parameter(initial)',
  '    self.beta = nn.Parameter(torch.zeros(channels))',
  'else:',
  '    self.register_parameter("gamma", None)',
  '    self.register_parameter("beta", None)',
];

const registered = ({ name, perChannel, initial }: Moving): string =>
  `self.register_buffer("${name}", torch.${initial ? 'ones' : 'zeros'}(${perChannel ? 'channels' : 1}))`;
