import { EPSILON } from '../graph/ops.ts';
import type { Dialect, Moving } from './body.ts';
import { atom, call, negative, product, quotient, sum } from './code.ts';
import type { CodeStyle, Exported } from './exported.ts';
import type { Golden } from './golden.ts';
import { indent, pythonFloat, signature, tuple } from './python.ts';
import {
  type Axes,
  goldenReader,
  grouping,
  INITIAL,
  PythonModule,
  pythonDialect,
} from './python-module.ts';

/**
 * A layer as a PyTorch module of plain operations, which torch.compile, torch.export and the ONNX exporter
 * take. Autograd gives the layer's gradients: torch.maximum halves them at ties, and torch.abs and
 * torch.sign have derivative 0 at 0.
 */
export const pytorch = (exported: Exported, style: CodeStyle): string =>
  new PytorchModule(exported, style).source();

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

const EPS = atom('self.eps');
const STATISTIC = 'statistic: Callable[[Tensor, tuple[int, ...]], Tensor]';

class PytorchModule extends PythonModule<Helper> {
  protected get helpers() {
    return HELPERS;
  }

  protected dialect(axes: Axes): Dialect<Helper> {
    return pythonDialect<Helper>(axes, {
      exprs: {
        add: sum,
        mul: product,
        div: ([a, b], { use, clear }) =>
          quotient([a!, clear ? b! : call(use('_guard'))([b!, EPS])]),
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
      root: (statistic) => `torch.sqrt(${statistic.text} + ${EPS.text})`,
      expand: ['out = out.expand_as(x)'],
    });
  }

  protected imports(): string[] {
    return [
      ...(this.hasMoving || this.body.grouped ? ['from collections.abc import Callable'] : []),
      'import torch\nfrom torch import Tensor, nn',
    ];
  }

  protected classSource(): string[][] {
    return [
      [`class ${this.style.className}(nn.Module):`, ...this.doc(this.#notes())],
      indent(this.body.moving.map(({ name }) => `${name}: Tensor`)),
      indent(this.#initializer()),
      indent(this.#forward()),
      this.hasMoving ? indent(this.#overBatch()) : [],
      this.body.grouped ? indent(this.#overGroups()) : [],
    ];
  }

  #notes(): string[] {
    return [
      ...(this.body.grouped
        ? ['groups: the largest divisor of `channels` that is at most this is taken.']
        : []),
      ...(this.hasMoving
        ? [
            'momentum: of the moving statistics, which evaluation reads in place of moments over the',
            '    batch: s = (1 - momentum) * s + momentum * statistic of the batch, its variance biased.',
          ]
        : []),
      'affine: whether the output is scaled by gamma and shifted by beta, per channel.',
      'zero_init: gamma starts at 0, for the last layer of a residual branch.',
    ];
  }

  #initializer(): string[] {
    const { groups, movingDecay } = this.exported;
    const usesEps = this.usesEpsilon(EPS.text);
    const options = [
      ...(this.body.grouped ? [`groups: int = ${groups}`] : []),
      ...(usesEps ? [`eps: float = ${pythonFloat(EPSILON)}`] : []),
      ...(this.hasMoving ? [`momentum: float = ${pythonFloat(momentumOf(movingDecay))}`] : []),
      'affine: bool = True',
      'zero_init: bool = False',
    ];
    return [
      ...signature('__init__', ['self', 'channels: int', '*', ...options], 'None'),
      ...indent([
        'super().__init__()',
        'self.channels = channels',
        ...(this.body.grouped ? grouping('channels') : []),
        ...(usesEps ? ['self.eps = eps'] : []),
        ...(this.hasMoving ? ['self.momentum = momentum'] : []),
        ...this.inner.map(
          (name) => `self.${name} = nn.Parameter(torch.${INITIAL[name]}(channels))`,
        ),
        ...AFFINE,
        ...this.body.moving.map(registered),
      ]),
    ];
  }

  #forward(): string[] {
    const { channels, perChannel, width } = this.axes;
    return [
      ...signature('forward', ['self', 'x: Tensor'], 'Tensor'),
      ...indent([
        'if x.dim() == 3:',
        `    return self.forward(x.unsqueeze(${width})).squeeze(${width})`,
        ...this.refusal(
          `x.dim() != 4 or x.size(${channels}) != self.channels`,
          'channels',
          'tuple(x.shape)',
        ),
        ...(this.body.inputs.has('zero') ? ['zero = x.new_zeros(1, 1, 1, 1)'] : []),
        ...this.inner.map((name) => `${name} = self.${name}.view(${perChannel})`),
        ...this.body.statements,
        'if self.gamma is not None:',
        `    out = self.gamma.view(${perChannel}) * out + self.beta.view(${perChannel})`,
        'return out.to(x.dtype)',
      ]),
    ];
  }

  #overBatch(): string[] {
    return [
      ...signature('_over_batch', ['self', 'a: Tensor', STATISTIC, 'moving: Tensor'], 'Tensor'),
      ...indent([
        '"""The statistic of this batch in training, the moving one in evaluation."""',
        'if not self.training:',
        `    return moving.view(${this.axes.perChannel})`,
        `batch = statistic(a, ${tuple(this.axes.batch)})`,
        'with torch.no_grad():',
        '    moving.lerp_(batch.flatten().to(moving.dtype), self.momentum)',
        'return batch',
      ]),
    ];
  }

  #overGroups(): string[] {
    const { channels, grouped, member } = this.axes;
    const spread = [0, 1, 2, 3, 4].map((axis) => (axis === member ? 'self.group_size' : -1));
    return [
      ...signature('_over_groups', ['self', 'a: Tensor', STATISTIC], 'Tensor'),
      ...indent([
        '"""The statistic over space and a group, repeated for the channels of the group."""',
        `groups = a.unflatten(${channels}, (self.groups, self.group_size))`,
        `moment = statistic(groups, ${tuple(grouped)})`,
        `return moment.expand(${spread.join(', ')}).flatten(${channels}, ${member})`,
      ]),
    ];
  }

  protected selfTest({ shape, groups }: Golden): string[][] {
    const options = this.body.grouped ? `, groups=${groups}` : '';
    return [
      [
        'def _self_test() -> None:',
        ...indent([
          '"""Two training steps and one in evaluation, against a reference in double precision."""',
          `layer = ${this.style.className}(${shape.channels}${options}).double()`,
          'for name, parameter in layer.named_parameters():',
          '    parameter.data = _golden(name)',
          'for step in ("first", "second", "inference"):',
          '    layer.train(step != "inference")',
          '    layer.zero_grad()',
          `    x = _golden(f"{step}.x").view(${this.sizes(shape)}).requires_grad_()`,
          '    y = layer(x)',
          '    y.backward(_golden(f"{step}.dy").view_as(y))',
          '    _check(f"{step}.y", y)',
          '    _check(f"{step}.dx", x.grad)',
          '    for name, parameter in layer.named_parameters():',
          '        _check(f"{step}.d{name}", parameter.grad)',
          ...(this.hasMoving
            ? ['for name, buffer in layer.named_buffers():', '    _check(name, buffer)']
            : []),
        ]),
      ],
      goldenReader('Tensor', (list) => `torch.tensor(${list}, dtype=torch.float64)`),
      CHECK,
    ];
  }
}

/** PyTorch's momentum is the share of the new. */
const momentumOf = (decay: number): number => Number((1 - decay).toPrecision(12));

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

const CHECK = [
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
