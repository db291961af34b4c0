import type { Context, Dialect, Moving } from './body.ts';
import { type Code, call } from './code.ts';
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
 * A layer as a Flax module (nnx). JAX gives the layer's gradients: jnp.maximum halves them at ties; the
 * derivative of jnp.abs at 0 is 1, so that modules have their own.
 */
export const flax = (exported: Exported, style: CodeStyle): string =>
  new FlaxModule(exported, style).source();

const WORDS: Words = {
  module: 'jnp',
  tensor: 'Array',
  epsilon: 'epsilon',
  affine: 'use_affine',
  channels: '`num_features`',
};

const HELPERS = {
  _guard: `\
def _guard(b: Array, eps: float) -> Array:
    """b, or eps with the sign of b (+ at 0) where b is smaller than eps."""
    b = jnp.where((b >= 0) & (b < eps), eps, b)
    return jnp.where((b < 0) & (b > -eps), -eps, b)`,
  ...commonHelpers(WORDS),
  _abs: `\
def _abs(a: Array) -> Array:
    """With derivative 0 at 0, where that of jnp.abs is 1."""
    return jnp.sign(a) * a`,
  _wide: `\
def _wide(a: Array) -> Array:
    """Moments are taken in single precision at least."""
    return a.astype(jnp.float32) if a.dtype in (jnp.float16, jnp.bfloat16) else a`,
  _mean: `\
def _mean(a: Array, axes: tuple[int, ...]) -> Array:
    return _wide(a).mean(axes, keepdims=True)`,
  _mean_square: `\
def _mean_square(a: Array, axes: tuple[int, ...]) -> Array:
    return jnp.square(_wide(a)).mean(axes, keepdims=True)`,
  _variance: `\
def _variance(a: Array, axes: tuple[int, ...]) -> Array:
    return _wide(a).var(axes, keepdims=True)`,
} as const;

type Helper = keyof typeof HELPERS;

const absolute = ([a]: readonly Code[], { use }: Context<Helper>): Code => call(use('_abs'))([a!]);

const STATISTIC = 'statistic: Callable[[Array, tuple[int, ...]], Array]';

class FlaxModule extends PythonModule<Helper> {
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
      max: call('jnp.maximum'),
      sigmoid: call('nnx.sigmoid'),
      abs: absolute,
    };
    return pythonDialect<Helper>(axes, WORDS, {
      exprs,
      expand: ['out = jnp.broadcast_to(out, x.shape)'],
    });
  }

  protected imports(): string[] {
    return [
      ...(this.hasMoving || this.body.grouped ? ['from collections.abc import Callable'] : []),
      'import jax\nimport jax.numpy as jnp\nfrom flax import nnx\nfrom jax import Array',
    ];
  }

  protected classSource(): string[][] {
    return [
      [`class ${this.style.className}(nnx.Module):`, ...this.doc()],
      indent(['gamma: nnx.Param[Array] | None', 'beta: nnx.Param[Array] | None']),
      indent(this.#initializer()),
      indent(this.#call()),
      this.hasMoving ? indent(this.#overBatch()) : [],
      this.body.grouped ? indent(this.#overGroups()) : [],
    ];
  }

  #initializer(): string[] {
    const options = [
      ...parameters(this.options(this.exported.movingDecay)),
      'param_dtype: jnp.dtype = jnp.float32',
    ];
    return [
      ...signature('__init__', ['self', 'num_features: int', '*', ...options], 'None'),
      ...indent([
        'self.num_features = num_features',
        ...(this.body.grouped ? grouping('num_features') : []),
        ...(this.usesEpsilon ? ['self.epsilon = epsilon'] : []),
        ...(this.hasMoving ? ['self.momentum = momentum', 'self.use_running_average = False'] : []),
        ...this.inner.map(
          (name) => `self.${name} = nnx.Param(jnp.${INITIAL[name]}(num_features, param_dtype))`,
        ),
        ...AFFINE,
        ...this.body.moving.map(batchStatistic),
      ]),
    ];
  }

  #call(): string[] {
    const { channels, perChannel, width } = this.axes;
    return [
      ...signature('__call__', ['self', 'x: Array'], 'Array'),
      ...indent([
        'if x.ndim == 3:',
        `    return self(jnp.expand_dims(x, ${width})).squeeze(${width})`,
        ...this.refusal(
          `x.ndim != 4 or x.shape[${channels}] != self.num_features`,
          'num_features',
          'x.shape',
        ),
        ...(this.body.inputs.has('zero') ? ['zero = jnp.zeros((1, 1, 1, 1), x.dtype)'] : []),
        ...this.inner.map((name) => `${name} = self.${name}[...].reshape(${perChannel})`),
        ...this.body.statements,
        'if self.gamma is not None and self.beta is not None:',
        `    out = self.gamma[...].reshape(${perChannel}) * out`,
        `    out = out + self.beta[...].reshape(${perChannel})`,
        'return out.astype(x.dtype)',
      ]),
    ];
  }

  #overBatch(): string[] {
    const taken = ['self', 'a: Array', STATISTIC, 'moving: nnx.BatchStat[Array]'];
    return [
      ...signature('_over_batch', taken, 'Array'),
      ...indent([
        '"""The statistic of this batch in training, the moving one in evaluation."""',
        'if self.use_running_average:',
        `    return moving[...].reshape(${this.axes.perChannel})`,
        `batch = statistic(a, ${tuple(this.axes.batch)})`,
        'new = jax.lax.stop_gradient(batch).flatten().astype(moving.dtype)',
        'moving[...] = self.momentum * moving[...] + (1 - self.momentum) * new',
        'return batch',
      ]),
    ];
  }

  #overGroups(): string[] {
    const { grouped, member, channels } = this.axes;
    const [sizes, split] = SPLIT[this.style.layout];
    return [
      ...signature('_over_groups', ['self', 'a: Array', STATISTIC], 'Array'),
      ...indent([
        '"""The statistic over space and a group, repeated for the channels of the group."""',
        `${sizes} = a.shape`,
        `groups = a.reshape(${split})`,
        `moment = statistic(groups, ${tuple(grouped)}).squeeze(${member})`,
        `return jnp.repeat(moment, self.group_size, axis=${channels})`,
      ]),
    ];
  }

  protected selfTest({ shape, groups }: Golden): string[][] {
    const options = this.body.grouped ? `, groups=${groups}` : '';
    const { className } = this.style;
    return [
      [
        'def _self_test() -> None:',
        ...indent([
          '"""Two training steps and one in evaluation, against a reference in double precision."""',
          'jax.config.update("jax_enable_x64", True)',
          `layer = ${className}(${shape.channels}${options}, param_dtype=jnp.float64)`,
          `weights = (${this.trained.map((name) => `"${name}"`).join(', ')})`,
          'for name in weights:',
          '    getattr(layer, name)[...] = _golden(name)',
          '',
          `def weighted(layer: ${className}, x: Array, dy: Array) -> tuple[Array, Array]:`,
          '    y = layer(x)',
          '    return jnp.vdot(y, dy), y',
          '',
          'gradients = nnx.grad(weighted, argnums=(0, 1), has_aux=True)',
          'for step in ("first", "second", "inference"):',
          '    if step == "inference":',
          '        layer.eval()',
          `    x = _golden(f"{step}.x").reshape(${this.sizes(shape)})`,
          '    (dlayer, dx), y = gradients(layer, x, _golden(f"{step}.dy").reshape(x.shape))',
          '    _check(f"{step}.y", y)',
          '    _check(f"{step}.dx", dx)',
          '    for name in weights:',
          '        _check(f"{step}.d{name}", dlayer[name][...])',
          ...this.body.moving.map(({ name }) => `_check("${name}", layer.${name}[...])`),
        ]),
      ],
      goldenReader('Array', (list) => `jnp.array(${list})`),
      CHECK,
    ];
  }
}

const MOMENTUM = [
  'momentum: of the moving statistics, which evaluation (`eval()`, or',
  '    `use_running_average`) reads in place of moments over the batch:',
  '    s = momentum * s + (1 - momentum) * statistic of the batch, its variance biased.',
];

/** The sizes of a value, and how its channel axis is split. */
const SPLIT = {
  nchw: ['n, _, h, w', 'n, self.groups, self.group_size, h, w'],
  nhwc: ['n, h, w, _', 'n, h, w, self.groups, self.group_size'],
} as const;

const AFFINE = [
  'if use_affine:',
  '    initial = jnp.zeros if zero_init else jnp.ones',
  '    self.gamma = nnx.Param(initial(num_features, param_dtype))',
  '    self.beta = nnx.Param(jnp.zeros(num_features, param_dtype))',
  'else:',
  '    self.gamma = self.beta = None',
];

const batchStatistic = ({ name, perChannel, initial }: Moving): string =>
  `self.${name} = nnx.BatchStat(jnp.${initial ? 'ones' : 'zeros'}(${perChannel ? 'num_features' : 1}, param_dtype))`;

const CHECK = [
  'def _check(name: str, actual: Array) -> None:',
  ...indent([
    'expected = _golden(name)',
    'scale = max(1.0, jnp.abs(expected).max().item())',
    'difference = jnp.abs(actual.flatten() - expected).max() / scale',
    'print(f"{name}: {expected.size} values, off by {difference:.1e} at most")',
    'if not difference < 1e-6:',
    '    raise SystemExit(f"{name} is {actual}, not {expected}")',
  ]),
];
