import type { Dialect, Moving } from './body.ts';
import { call } from './code.ts';
import type { CodeStyle, Exported } from './exported.ts';
import type { Golden } from './golden.ts';
import { indent, signature, tuple } from './python.ts';
import {
  type Axes,
  commonExprs,
  commonHelpers,
  goldenReader,
  grouping,
  INITIAL,
  PythonModule,
  parameters,
  pythonDialect,
  type Words,
} from './python-module.ts';

/**
 * A layer as a PyTorch module of plain operations, which torch.compile, torch.export and the ONNX exporter
 * take. Autograd gives the layer's gradients: torch.maximum halves them at ties, and torch.abs and
 * torch.sign have derivative 0 at 0.
 */
export const pytorch = (exported: Exported, style: CodeStyle): string =>
  new PytorchModule(exported, style).source();

const WORDS: Words = {
  module: 'torch',
  tensor: 'Tensor',
  epsilon: 'eps',
  affine: 'affine',
  channels: '`channels`',
};

const HELPERS = {
  _guard: `\
def _guard(b: Tensor, eps: float) -> Tensor:
    """b, or eps with the sign of b (+ at 0) where b is smaller than eps."""
    b = torch.where((b >= 0) & (b < eps), eps, b)
    return torch.where((b < 0) & (b > -eps), -eps, b)`,
  ...commonHelpers(WORDS),
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

const STATISTIC = 'statistic: Callable[[Tensor, tuple[int, ...]], Tensor]';

class PytorchModule extends PythonModule<Helper> {
  protected get words() {
    return WORDS;
  }

  protected get momentumNote() {
    return MOMENTUM;
  }

  protected get helpers() {
    return HELPERS;
  }

  protected dialect(axes: Axes): Dialect<Helper> {
    const exprs = {
      ...commonExprs<Helper>(WORDS),
      max: call('torch.maximum'),
      sigmoid: call('torch.sigmoid'),
      abs: call('torch.abs'),
    };
    return pythonDialect<Helper>(axes, WORDS, { exprs, expand: ['out = out.expand_as(x)'] });
  }

  protected imports(): string[] {
    return [
      ...(this.hasMoving || this.body.grouped ? ['from collections.abc import Callable'] : []),
      'import torch\nfrom torch import Tensor, nn',
    ];
  }

  protected classSource(): string[][] {
    return [
      [`class ${this.style.className}(nn.Module):`, ...this.doc()],
      indent(this.body.moving.map(({ name }) => `${name}: Tensor`)),
      indent(this.#initializer()),
      indent(this.#forward()),
      this.hasMoving ? indent(this.#overBatch()) : [],
      this.body.grouped ? indent(this.#overGroups()) : [],
    ];
  }

  #initializer(): string[] {
    const options = this.options(momentumOf(this.exported.movingDecay));
    return [
      ...signature('__init__', ['self', 'channels: int', '*', ...parameters(options)], 'None'),
      ...indent([
        'super().__init__()',
        'self.channels = channels',
        ...(this.body.grouped ? grouping('channels') : []),
        ...(this.usesEpsilon ? ['self.eps = eps'] : []),
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

const MOMENTUM = [
  'momentum: of the moving statistics, which evaluation reads in place of moments over the',
  '    batch: s = (1 - momentum) * s + momentum * statistic of the batch, its variance biased.',
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
