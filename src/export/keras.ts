import type { Context, Dialect, Moving } from './body.ts';
import { type Code, call } from './code.ts';
import type { CodeStyle, Exported } from './exported.ts';
import type { Golden, ParameterName } from './golden.ts';
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
 * A layer as a Keras 3 layer, for any backend. Their gradients differ where functions have kinks:
 * TensorFlow's maximum sends everything to one side at a tie, and JAX's abs has derivative 1 at 0. So
 * layers say both in other ops.
 */
export const keras = (exported: Exported, style: CodeStyle): string =>
  new KerasModule(exported, style).source();

const WORDS: Words = {
  module: 'ops',
  tensor: 'Tensor',
  epsilon: 'epsilon',
  affine: 'affine',
  channels: 'the channels',
};

const HELPERS = {
  _guard: `\
def _guard(b: Tensor, epsilon: float) -> Tensor:
    """b, or epsilon with the sign of b (+ at 0) where b is smaller than epsilon."""
    small = ops.abs(b) < epsilon
    edge = ops.where(b < 0, ops.full_like(b, -epsilon), ops.full_like(b, epsilon))
    return ops.where(small, edge, b)`,
  _maximum: `\
def _maximum(a: Tensor, b: Tensor) -> Tensor:
    """With half of the gradient for each at a tie, whatever the backend."""
    return ops.where(a > b, a, ops.where(a < b, b, (a + b) / 2))`,
  _abs: `\
def _abs(a: Tensor) -> Tensor:
    """With derivative 0 at 0, whatever the backend."""
    return ops.sign(a) * a`,
  ...commonHelpers(WORDS),
  _wide: `\
def _wide(a: Tensor) -> Tensor:
    """Layers compute in single precision at least."""
    narrow = keras.backend.standardize_dtype(a.dtype) in ("float16", "bfloat16")
    return ops.cast(a, "float32") if narrow else a`,
  _mean: `\
def _mean(a: Tensor, axes: tuple[int, ...]) -> Tensor:
    return ops.mean(a, axes, keepdims=True)`,
  _mean_square: `\
def _mean_square(a: Tensor, axes: tuple[int, ...]) -> Tensor:
    return ops.mean(ops.square(a), axes, keepdims=True)`,
  _variance: `\
def _variance(a: Tensor, axes: tuple[int, ...]) -> Tensor:
    return ops.var(a, axes, keepdims=True)`,
} as const;

type Helper = keyof typeof HELPERS;

const absolute = ([a]: readonly Code[], { use }: Context<Helper>): Code => call(use('_abs'))([a!]);

const maximum = ([a, b]: readonly Code[], { use }: Context<Helper>): Code =>
  call(use('_maximum'))([a!, b!]);

const STATISTIC = 'statistic: Callable[[Tensor, tuple[int, ...]], Tensor]';

class KerasModule extends PythonModule<Helper> {
  constructor(exported: Exported, style: CodeStyle) {
    super(exported, style);
    this.body.use('_wide');
  }

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
      max: maximum,
      sigmoid: call('ops.sigmoid'),
      abs: absolute,
    };
    return pythonDialect<Helper>(
      axes,
      WORDS,
      { exprs, expand: ['out = ops.broadcast_to(out, ops.shape(x))'] },
      'training, ',
    );
  }

  protected imports(): string[] {
    const needsCallable = this.hasMoving || this.body.grouped;
    return [
      `${needsCallable ? 'from collections.abc import Callable\n' : ''}from typing import Any`,
      'import keras\nimport numpy as np\nfrom keras import ops',
      '# A tensor of the backend.\nTensor = Any',
    ];
  }

  protected classSource(): string[][] {
    return [
      [
        '@keras.saving.register_keras_serializable(package="evolayer")',
        `class ${this.style.className}(keras.layers.Layer):`,
        ...this.doc(),
      ],
      indent(this.#initializer()),
      indent(this.#build()),
      indent(this.#call()),
      indent(this.#config()),
      this.hasMoving ? indent(this.#overBatch()) : [],
      this.body.grouped ? indent(this.#overGroups()) : [],
    ];
  }

  /** Each argument of the constructor becomes an attribute. */
  get #options() {
    return this.options(this.exported.movingDecay);
  }

  #initializer(): string[] {
    const taken = parameters(this.#options);
    return [
      ...signature('__init__', ['self', '*', ...taken, '**kwargs: Any'], 'None'),
      ...indent([
        'super().__init__(**kwargs)',
        ...this.#options.map(({ name }) => `self.${name} = ${name}`),
      ]),
    ];
  }

  #build(): string[] {
    const axis = this.axes.channels === 1 ? 1 : -1;
    return [
      'def build(self, input_shape: tuple[int | None, ...]) -> None:',
      ...indent([
        `channels = input_shape[${axis}]`,
        'if len(input_shape) not in (3, 4) or channels is None:',
        `    wanted = "${this.axes.shape} or ${this.axes.sequence} with a known C"`,
        '    raise ValueError(f"expected {wanted}, not {input_shape}")',
        `self.input_spec = keras.InputSpec(min_ndim=3, max_ndim=4, axes={${axis}: channels})`,
        ...(this.body.grouped ? this.#grouping() : []),
        'shape = (channels,)',
        ...this.inner.map(
          (name) => `self.${name} = self.add_weight(shape, "${INITIAL[name]}", name="${name}")`,
        ),
        'self.gamma = self.beta = None',
        'if self.affine:',
        '    initial = "zeros" if self.zero_init else "ones"',
        '    self.gamma = self.add_weight(shape, initial, name="gamma")',
        '    self.beta = self.add_weight(shape, "zeros", name="beta")',
        ...this.body.moving.flatMap(movingWeight),
      ]),
    ];
  }

  #grouping(): string[] {
    const [sizes, count, size] = grouping('channels');
    return [
      sizes!.replace('min(groups,', 'min(self.groups,'),
      count!.replace('self.groups =', 'self.group_count ='),
      size!.replace('self.groups', 'self.group_count'),
    ];
  }

  #weight(name: ParameterName): string {
    return `ops.reshape(ops.cast(self.${name}, x.dtype), (${this.axes.perChannel}))`;
  }

  #call(): string[] {
    const { width } = this.axes;
    const training = this.hasMoving ? ['training: bool | None = None'] : [];
    return [
      ...signature('call', ['self', 'inputs: Tensor', ...training], 'Tensor'),
      ...indent([
        'x = _wide(inputs)',
        'if len(inputs.shape) == 3:',
        `    x = ops.expand_dims(x, ${width})`,
        ...(this.body.inputs.has('zero') ? ['zero = ops.zeros((1, 1, 1, 1), x.dtype)'] : []),
        ...this.inner.map((name) => `${name} = ${this.#weight(name)}`),
        ...this.body.statements,
        'if self.affine:',
        `    out = ${this.#weight('gamma')} * out`,
        `    out = out + ${this.#weight('beta')}`,
        'out = ops.cast(out, inputs.dtype)',
        `return ops.squeeze(out, ${width}) if len(inputs.shape) == 3 else out`,
      ]),
    ];
  }

  #config(): string[] {
    return [
      'def get_config(self) -> dict[str, Any]:',
      ...indent([
        'config: dict[str, Any] = super().get_config()',
        ...this.#options.map(({ name }) => `config["${name}"] = self.${name}`),
        'return config',
      ]),
    ];
  }

  #overBatch(): string[] {
    const taken = ['self', 'training: bool | None', 'a: Tensor', STATISTIC, 'moving: Tensor'];
    return [
      ...signature('_over_batch', taken, 'Tensor'),
      ...indent([
        '"""The statistic of this batch in training, the moving one at inference."""',
        'if not training:',
        `    return ops.reshape(ops.cast(moving, a.dtype), (${this.axes.perChannel}))`,
        `batch = statistic(a, ${tuple(this.axes.batch)})`,
        'new = ops.cast(ops.stop_gradient(ops.reshape(batch, (-1,))), moving.dtype)',
        'moving.assign(self.momentum * moving + (1 - self.momentum) * new)',
        'return batch',
      ]),
    ];
  }

  #overGroups(): string[] {
    const { grouped, member, channels } = this.axes;
    const [sizes, split] = SPLIT[this.style.layout];
    return [
      ...signature('_over_groups', ['self', 'a: Tensor', STATISTIC], 'Tensor'),
      ...indent([
        '"""The statistic over space and a group, repeated for the channels of the group."""',
        `${sizes} = ops.shape(a)`,
        `groups = ops.reshape(a, (${split}))`,
        `moment = ops.squeeze(statistic(groups, ${tuple(grouped)}), ${member})`,
        `return ops.repeat(moment, self.group_size, axis=${channels})`,
      ]),
    ];
  }

  protected selfTest({ shape, groups }: Golden): string[][] {
    const options = this.body.grouped ? `groups=${groups}` : '';
    const training = this.hasMoving ? ', training=step != "inference"' : '';
    return [
      [
        'def _self_test() -> None:',
        ...indent([
          '"""Two training steps and one at inference, against a reference in double precision."""',
          `layer = ${this.style.className}(${options})`,
          `layer.build((${this.sizes(shape)}))`,
          'for weight in layer.trainable_weights:',
          '    weight.assign(_golden(weight.name))',
          'for step in ("first", "second", "inference"):',
          `    x = _golden(f"{step}.x").reshape(${this.sizes(shape)})`,
          '    dy = _golden(f"{step}.dy").reshape(x.shape)',
          `    y, gradients = _differentiated(layer, x, dy${training})`,
          '    _check(f"{step}.y", y)',
          '    for name, gradient in gradients.items():',
          '        _check(f"{step}.d{name}", gradient)',
          ...(this.hasMoving
            ? ['for weight in layer.non_trainable_weights:', '    _check(weight.name, weight)']
            : []),
        ]),
      ],
      DIFFERENTIATED,
      goldenReader('np.ndarray', (list) => `np.array(${list}, "float32")`),
      CHECK,
    ];
  }
}

const MOMENTUM = [
  'momentum: of the moving statistics, which inference reads in place of moments over the',
  '    batch: s = momentum * s + (1 - momentum) * statistic of the batch, its variance biased.',
];

/** The sizes of a value, and how its channel axis is split. */
const SPLIT = {
  nchw: ['n, _, h, w', 'n, self.group_count, self.group_size, h, w'],
  nhwc: ['n, h, w, _', 'n, h, w, self.group_count, self.group_size'],
} as const;

const movingWeight = ({ name, perChannel, initial }: Moving): string[] => [
  `self.${name} = self.add_weight(`,
  `    ${perChannel ? 'shape' : '(1,)'}, "${initial ? 'ones' : 'zeros'}", trainable=False, autocast=False, name="${name}"`,
  ')',
];

/** Keras has no gradients of its own. */
const DIFFERENTIATED = [
  'def _differentiated(',
  '    layer: keras.layers.Layer, x: np.ndarray, dy: np.ndarray, **kwargs: Any',
  ') -> tuple[Tensor, dict[str, Tensor]]:',
  ...indent([
    '"""The output, and the gradients of sum(output * dy) by the names of what they belong to."""',
    'names = ["x", *(weight.name for weight in layer.trainable_weights)]',
    'if keras.backend.backend() == "tensorflow":',
    '    import tensorflow as tf',
    '',
    '    source = tf.Variable(x)',
    '    with tf.GradientTape() as tape:',
    '        y = layer(source.value(), **kwargs)',
    '        weighted = ops.sum(y * dy)',
    '    of = [source, *(weight.value for weight in layer.trainable_weights)]',
    '    return y, dict(zip(names, tape.gradient(weighted, of), strict=True))',
    'if keras.backend.backend() == "torch":',
    '    source = ops.convert_to_tensor(x).requires_grad_()',
    '    layer.zero_grad()',
    '    y = layer(source, **kwargs)',
    '    ops.sum(y * ops.convert_to_tensor(dy)).backward()',
    '    of = [source, *(weight.value for weight in layer.trainable_weights)]',
    '    return y, dict(zip(names, (tensor.grad for tensor in of), strict=True))',
    'import jax',
    '',
    'fixed = [weight.value for weight in layer.non_trainable_weights]',
    '',
    'def total(x: Tensor, weights: list[Tensor]) -> tuple[Tensor, Any]:',
    '    y, moved = layer.stateless_call(weights, fixed, x, **kwargs)',
    '    return ops.sum(y * dy), (y, moved)',
    '',
    'weights = [weight.value for weight in layer.trainable_weights]',
    'function = jax.value_and_grad(total, argnums=(0, 1), has_aux=True)',
    '(_, (y, moved)), (dx, dweights) = function(ops.convert_to_tensor(x), weights)',
    'for weight, value in zip(layer.non_trainable_weights, moved, strict=True):',
    '    weight.assign(value)',
    'return y, dict(zip(names, [dx, *dweights], strict=True))',
  ]),
];

const CHECK = [
  'def _check(name: str, actual: Tensor | None) -> None:',
  ...indent([
    'expected = _golden(name)',
    'actual = ops.zeros_like(expected) if actual is None else actual',
    'scale = max(1.0, np.abs(expected).max())',
    'difference = np.abs(ops.convert_to_numpy(actual).flatten() - expected).max() / scale',
    'print(f"{name}: {expected.size} values, off by {difference:.1e} at most")',
    'if not difference < 1e-4:',
    '    raise SystemExit(f"{name} is {actual}, not {expected}")',
  ]),
];
