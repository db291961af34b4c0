import type { LayerShape } from '../graph/extent.ts';
import { Body, type Dialect, type StatisticName } from './body.ts';
import type { CodeStyle, Exported } from './exported.ts';
import { type Golden, golden, namedVectors, type ParameterName } from './golden.ts';
import { goldenSource, indent, moduleDoc, pythonBroken, tuple } from './python.ts';

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

/** How the Python targets write what they have in common. */
export const pythonDialect = <Helper extends string>(
  { batch, space }: Axes,
  dialect: Pick<Dialect<Helper | MomentHelper>, 'exprs' | 'root' | 'expand'>,
  /** What `_over_batch` gets first. */
  mode = '',
): Dialect<Helper | MomentHelper> => ({
  ...dialect,
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

  protected usesEpsilon(name: string): boolean {
    return this.body.mentions(name);
  }

  /** A docstring: the shapes, then `notes`. */
  protected doc(notes: readonly string[]): string[] {
    const { shape, sequence } = this.axes;
    return indent([`"""Input and output: ${shape}, or ${sequence}.`, '', ...notes, '"""']);
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
    'vectors = dict(vector.split(maxsplit=1) for vector in _GOLDEN.split(";")[:-1])',
    'values = [float(value) for value in vectors[name].split()]',
    `return ${wrapped('values')}`,
  ]),
];
