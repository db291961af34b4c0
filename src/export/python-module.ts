import type { LayerShape } from '../graph/extent.ts';
import { type ElementwiseName, EPSILON } from '../graph/ops.ts';
import { Body, type Context, type Dialect, type StatisticName } from './body.ts';
import { atom, call, type Exprs, negative, product, quotient, sum } from './code.ts';
import type { CodeStyle, Exported } from './exported.ts';
import { type Golden, golden, namedVectors, type ParameterName } from './golden.ts';
import { goldenSource, indent, moduleDoc, pythonBroken, pythonFloat, tuple } from './python.ts';

/** Where the axes are. */
const AXES = {
  nchw: {
    shape: '(N, C, H, W)',
    sequence: '(N, C, L)',
    /** Of the width, which sequences lack. */
    width: 3,
    channels: 1,
    space: [2, 3],
    batch: [0, 2, 3],
    /** The shape of what has one entry per channel. */
    perChannel: '1, -1, 1, 1',
    /** Space and the members of groups, once the channel axis is split into groups and their members. */
    grouped: [2, 3, 4],
    member: 2,
    sizes: ['batch', 'channels', 'height', 'width'],
  },
  nhwc: {
    shape: '(N, H, W, C)',
    sequence: '(N, L, C)',
    width: 2,
    channels: 3,
    space: [1, 2],
    batch: [0, 1, 2],
    perChannel: '1, 1, 1, -1',
    grouped: [1, 2, 4],
    member: 4,
    sizes: ['batch', 'height', 'width', 'channels'],
  },
} as const;

export type Axes = (typeof AXES)[keyof typeof AXES];

/** What the Python targets call v0 and v1 to begin with. */
export const INITIAL = { v0: 'zeros', v1: 'ones' } as const;

/** What all Python targets have: moments of (a, axes), taken in single precision at least. */
type MomentHelper = `_${StatisticName}` | '_wide';

type CommonHelper = MomentHelper | '_guard' | '_signed_log' | '_signed_sqrt';

/** What a framework calls things. */
export interface Words {
  /** The module with `sign`, `log`, … */
  readonly module: string;
  readonly tensor: string;
  /** Arguments of the constructor. */
  readonly epsilon: string;
  readonly affine: string;
  /** The number of channels, in a sentence. */
  readonly channels: string;
}

/** Helpers that differ in words alone. */
export const commonHelpers = ({ module, tensor, epsilon }: Words) =>
  ({
    _signed_log: `\
def _signed_log(a: ${tensor}, ${epsilon}: float) -> ${tensor}:
    return ${module}.sign(a) * ${module}.log(${module}.abs(a) + ${epsilon})`,
    _signed_sqrt: `\
def _signed_sqrt(a: ${tensor}, ${epsilon}: float) -> ${tensor}:
    return ${module}.sign(a) * ${module}.sqrt(${module}.abs(a) + ${epsilon})`,
  }) as const;

/** The expressions that differ in words alone. */
export function commonExprs<Helper extends string>({ module, epsilon }: Words) {
  const eps = atom(`self.${epsilon}`);
  type Common = Exprs<ElementwiseName, Context<Helper | CommonHelper>>;
  const exprs: Omit<Common, 'max' | 'sigmoid' | 'abs'> = {
    add: sum,
    mul: product,
    div: ([a, b], { use, clear }) => quotient([a!, clear ? b! : call(use('_guard'))([b!, eps])]),
    neg: negative,
    tanh: call(`${module}.tanh`),
    exp: call(`${module}.exp`),
    log: ([a], { use }) => call(use('_signed_log'))([a!, eps]),
    square: call(`${module}.square`),
    sqrt: ([a], { use }) => call(use('_signed_sqrt'))([a!, eps]),
  };
  return exprs;
}

/** How the Python targets write what they have in common. */
export const pythonDialect = <Helper extends string>(
  { batch, space }: Axes,
  { module, epsilon }: Words,
  dialect: Pick<Dialect<Helper | MomentHelper>, 'exprs' | 'expand'>,
  /** What `_over_batch` gets first. */
  mode = '',
): Dialect<Helper | MomentHelper> => ({
  ...dialect,
  root: (statistic) => `${module}.sqrt(${statistic.text} + self.${epsilon})`,
  statistic: ({ name, argument, over, moving }, use) => {
    const helper = use(`_${name}`);
    use('_wide');
    if (moving) return `self._over_batch(${mode}${argument}, ${helper}, self.${moving})`;
    if (over === 'groups') return `self._over_groups(${argument}, ${helper})`;
    const axes = { batch, space, image: [1, 2, 3] }[over];
    return `${helper}(${argument}, ${tuple(axes)})`;
  },
  assign: (name, expression) => pythonBroken(`${name} = ${expression}`, 8),
  nameOf: (name) => name,
});

interface Option {
  readonly name: string;
  readonly type: string;
  readonly value: string;
}

/** As the parameters of a function. */
export const parameters = (options: readonly Option[]): string[] =>
  options.map(({ name, type, value }) => `${name}: ${type} = ${value}`);

/** A layer as a class in a Python file, with a self-test at its end. */
export abstract class PythonModule<Helper extends string> {
  protected readonly exported: Exported;
  protected readonly style: CodeStyle;
  protected readonly axes: Axes;
  protected readonly body: Body<Helper>;

  constructor(exported: Exported, style: CodeStyle) {
    this.exported = exported;
    this.style = style;
    this.axes = AXES[style.layout];
    this.body = new Body(exported.layer, this.dialect(this.axes));
  }

  /** The file, as `ruff format` leaves it. */
  source(): string {
    const { exported, body } = this;
    const vectors = golden(exported.layer, exported.movingDecay);
    const moving = body.moving.map(({ name }) => name);
    const methods = this.classSource().filter((block) => block.length > 0);
    const blocks = [
      [moduleDoc(exported), ...this.imports()].join('\n\n'),
      ...body.helpers(this.helpers).map(String),
      methods.map((block) => block.join('\n')).join('\n\n'),
      goldenSource(namedVectors(vectors, this.trained, moving, this.style.layout)),
      ...this.selfTest(vectors).map((block) => block.join('\n')),
      'if __name__ == "__main__":\n    _self_test()',
    ];
    return `${blocks.join('\n\n\n')}\n`;
  }

  protected abstract readonly words: Words;
  /** What the documentation says of the momentum. */
  protected abstract readonly momentumNote: readonly string[];
  /** Functions that the statements may call, in their order. */
  protected abstract readonly helpers: Readonly<Record<Helper, string>>;
  protected abstract dialect(axes: Axes): Dialect<Helper>;
  /** Paragraphs of imports. */
  protected abstract imports(): string[];
  /** The class: paragraphs of lines. */
  protected abstract classSource(): string[][];
  /** `_self_test` and what it calls. */
  protected abstract selfTest(vectors: Golden): string[][];

  /** Everything trained. */
  protected get trained(): ParameterName[] {
    return [...this.inner, 'gamma', 'beta'];
  }

  /** The trained inputs of the graph. */
  protected get inner(): ('v0' | 'v1')[] {
    return (['v0', 'v1'] as const).filter((name) => this.body.inputs.has(name));
  }

  protected get hasMoving(): boolean {
    return this.body.moving.length > 0;
  }

  /** A docstring: the shapes, and the arguments. */
  protected doc(): string[] {
    const { shape, sequence } = this.axes;
    const { channels, affine } = this.words;
    return indent([
      `"""Input and output: ${shape}, or ${sequence}.`,
      '',
      ...(this.body.grouped
        ? [`groups: the largest divisor of ${channels} that is at most this is taken.`]
        : []),
      ...(this.hasMoving ? this.momentumNote : []),
      `${affine}: whether the output is scaled by gamma and shifted by beta, per channel.`,
      'zero_init: gamma starts at 0, for the last layer of a residual branch.',
      '"""',
    ]);
  }

  /** The arguments of the constructor that have defaults; `momentum` is the framework's. */
  protected options(momentum: number): Option[] {
    const { epsilon, affine } = this.words;
    const option = (name: string, type: string, value: string): Option => ({ name, type, value });
    const { groups } = this.exported;
    return [
      ...(this.body.grouped ? [option('groups', 'int', String(groups))] : []),
      ...(this.usesEpsilon ? [option(epsilon, 'float', pythonFloat(EPSILON))] : []),
      ...(this.hasMoving ? [option('momentum', 'float', pythonFloat(momentum))] : []),
      option(affine, 'bool', 'True'),
      option('zero_init', 'bool', 'False'),
    ];
  }

  protected get usesEpsilon(): boolean {
    return this.body.mentions(`self.${this.words.epsilon}`);
  }

  /** Refuses inputs of other shapes; `channels` is an attribute. */
  protected refusal(condition: string, channels: string, shape: string): string[] {
    const wanted = this.axes.shape.replace('C', `{self.${channels}}`);
    return [
      `if ${condition}:`,
      `    wanted = f"${wanted}"`,
      `    raise ValueError(f"expected {wanted}, not {${shape}}")`,
    ];
  }

  /** The sizes of an image of the self-test, in the order of the axes. */
  protected sizes(shape: LayerShape): string {
    return this.axes.sizes.map((axis) => shape[axis]).join(', ');
  }
}

/** Sets `groups` and `group_size` from the argument and the number of channels. */
export const grouping = (channels: string): string[] => [
  `sizes = range(min(groups, ${channels}), 0, -1)`,
  `self.groups = next(g for g in sizes if ${channels} % g == 0)`,
  `self.group_size = ${channels} // self.groups`,
];

/** The values of a golden vector as a list, in a function that returns `wrapped` of it. */
export const goldenReader = (type: string, wrapped: (list: string) => string): string[] => [
  `def _golden(name: str) -> ${type}:`,
  ...indent([
    'vectors = (vector.split() for vector in _GOLDEN.split(";"))',
    'words = next(words for words in vectors if words[:1] == [name])',
    'values = [float(word) for word in words[1:]]',
    `return ${wrapped('values')}`,
  ]),
];
