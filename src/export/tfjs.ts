import type { LayerShape } from '../graph/extent.ts';
import { EPSILON } from '../graph/ops.ts';
import { Body, type Context, type Dialect, type Moving, type Statistic } from './body.ts';
import { captionOf, wrap } from './caption.ts';
import { type Code, call, SIGN } from './code.ts';
import type { CodeStyle, Exported } from './exported.ts';
import { golden, goldenLines, namedVectors, type ParameterName } from './golden.ts';
import {
  broken,
  CHECK,
  DIFFERENTIATED,
  documented,
  HELPERS,
  type Helper,
  indent,
  LINE,
  numeral,
  PROGRAM,
  READ,
  selfTest,
} from './javascript.ts';

/**
 * A layer as a `tf.layers.Layer` in JavaScript, for browsers and Node, with types in its comments. Gradients
 * of TensorFlow.js are those of TensorFlow at kinks, it sums the gradient of a broadcast maximum over nothing
 * and that of a broadcast `where` element by element, so that kinks have gradients of their own here.
 */
export const tfjs = (exported: Exported, style: CodeStyle): string =>
  new TfjsModule(exported, style).source();

/** Where the axes are. */
const AXES = {
  nchw: {
    shape: '(N, C, H, W)',
    sequence: '(N, C, L)',
    channels: 1,
    /** Of the width, which sequences lack. */
    width: 3,
    space: [2, 3],
    batch: [0, 2, 3],
    perChannel: [1, -1, 1, 1],
    sizes: ['batch', 'channels', 'height', 'width'],
  },
  nhwc: {
    shape: '(N, H, W, C)',
    sequence: '(N, L, C)',
    channels: 3,
    width: 2,
    space: [1, 2],
    batch: [0, 1, 2],
    perChannel: [1, 1, 1, -1],
    sizes: ['batch', 'height', 'width', 'channels'],
  },
} as const;

/** How `#overGroups` splits channels: the sizes of a value, of its groups, the axes of one, and of the result. */
const GROUPS = {
  nchw: {
    sizes: '[n, channels, h, w]',
    split: '[n, this.groupCount, size, h * w]',
    axes: [2, 3],
    member: '[1, 1, size, 1]',
    joined: '[n, channels, 1, 1]',
  },
  nhwc: {
    sizes: '[n, h, w, channels]',
    split: '[n, h * w, this.groupCount, size]',
    axes: [1, 3],
    member: '[1, 1, 1, size]',
    joined: '[n, 1, 1, channels]',
  },
} as const;

const STATISTICS = {
  mean: 'mean',
  mean_square: 'meanSquare',
  variance: 'variance',
} as const satisfies Record<Statistic['name'], Helper>;

const camelCase = (name: string): string =>
  name.replaceAll(/_(\w)/g, (_, letter: string) => letter.toUpperCase());

/** What `tf.neg` was called with. */
const negated = ({ text }: Code): Code => ({
  text: text.slice('tf.neg('.length, -1),
  strength: SIGN,
});

const array = (values: readonly number[]): string => `[${values.join(', ')}]`;

const INITIAL = { v0: 'zeros', v1: 'ones' } as const;

interface Option {
  readonly name: string;
  readonly value: string;
  readonly type: string;
  readonly doc: string;
}

class TfjsModule {
  readonly #exported: Exported;
  readonly #style: CodeStyle;
  readonly #axes: (typeof AXES)[keyof typeof AXES];
  readonly #body: Body<Helper>;

  constructor(exported: Exported, style: CodeStyle) {
    this.#exported = exported;
    this.#style = style;
    this.#axes = AXES[style.layout];
    this.#body = new Body(exported.layer, this.#dialect());
  }

  /** The file, as Biome leaves it with two spaces, single quotes and lines of 100 columns. */
  source(): string {
    const { className } = this.#style;
    const body = this.#body;
    const methods = [
      this.#initializer(),
      this.#build(),
      this.#call(),
      this.#config(),
      ...(body.moving.length > 0 ? [this.#overBatch()] : []),
      ...(body.grouped ? [this.#overGroups()] : []),
    ];
    return [
      this.#header(),
      "import * as tf from '@tensorflow/tfjs';",
      this.#types(),
      [
        '/**',
        ' * @typedef {object} Options',
        ...this.#options.map(({ name, type, doc }) => ` * @property {${type}} [${name}] ${doc}`),
        ' */',
      ].join('\n'),
      [
        ...this.#doc(),
        `export class ${className} extends tf.layers.Layer {`,
        `  static className = 'Evolayer${className}';`,
        ...(body.grouped ? ['  groupCount = 1;'] : []),
        '',
        ...methods.flatMap((method, i) => indent(i > 0 ? ['', ...method] : method)),
        '}',
      ].join('\n'),
      `tf.serialization.registerClass(${className});`,
      this.#perChannel(),
      ...body.helpers(HELPERS),
      ...this.#selfTest(),
      PROGRAM,
      '',
    ]
      .join('\n\n')
      .replace(/\n+$/, '\n');
  }

  /** Parts of other helpers come with them. */
  #use(use: (helper: Helper) => Helper, helper: Helper): Helper {
    if (helper === 'maximum') use('reduced');
    if (helper === 'signedLog' || helper === 'signedSqrt') use('absolute');
    return use(helper);
  }

  #dialect(): Dialect<Helper> {
    const eps = { text: 'this.epsilon', strength: 4 };
    const tf = (name: string) => call(`tf.${name}`);
    const helper =
      (name: Helper, ...more: Code[]) =>
      (args: readonly Code[], { use }: Context<Helper>): Code =>
        call(this.#use(use, name))([...args, ...more]);
    const guard = helper('guard', eps);
    return {
      exprs: {
        add: ([a, b]) =>
          b!.strength === SIGN ? tf('sub')([a!, negated(b!)]) : tf('add')([a!, b!]),
        mul: tf('mul'),
        div: ([a, b], context) => tf('div')([a!, context.clear ? b! : guard([b!], context)]),
        max: helper('maximum'),
        neg: (args) => ({ ...tf('neg')(args), strength: SIGN }),
        sigmoid: tf('sigmoid'),
        tanh: tf('tanh'),
        exp: tf('exp'),
        log: helper('signedLog', eps),
        abs: helper('absolute'),
        square: tf('square'),
        sqrt: helper('signedSqrt', eps),
      },
      statistic: (statistic, use) => this.#statistic(statistic, use),
      root: ({ text }) => `tf.sqrt(tf.add(${text}, this.epsilon))`,
      assign: (name, expression) =>
        broken(`${name === 'out' ? 'let' : 'const'} ${name} = ${expression}`, 6),
      expand: ['out = tf.add(out, tf.zerosLike(x));'],
      nameOf: camelCase,
    };
  }

  #statistic({ name, argument, over, moving }: Statistic, use: (helper: Helper) => Helper) {
    const helper = this.#use(use, STATISTICS[name]);
    if (moving) return `this.#overBatch(training, ${argument}, ${helper}, this.${moving})`;
    if (over === 'groups') return `this.#overGroups(${argument}, ${helper})`;
    const { batch, space } = this.#axes;
    return `${helper}(${argument}, ${array({ batch, space, image: [1, 2, 3] }[over])})`;
  }

  /** What comments name types by. */
  #types(): string {
    const body = this.#body;
    const helpers = body.helpers(HELPERS).join('\n');
    const types = {
      LayerOptions: 'ConstructorParameters<typeof tf.layers.Layer>[0]',
      Weight: "tf.layers.Layer['weights'][number]",
      ...((body.moving.length > 0 || body.grouped) && {
        Moment: '(a: tf.Tensor, axes: number[]) => tf.Tensor',
      }),
      ...(helpers.includes('Save') && { Save: '(tensors: tf.Tensor[]) => void' }),
      ...(helpers.includes('Gradients') && {
        Gradients: '(dy: tf.Tensor, saved: tf.Tensor[]) => tf.Tensor | tf.Tensor[]',
      }),
    };
    return Object.entries(types)
      .map(([name, type]) => `/** @typedef {${type}} ${name} */`)
      .join('\n');
  }

  #header(): string {
    const lines = captionOf(this.#exported).flatMap((line) => wrap(line, LINE - 3));
    return ['/*', ...lines.map((line) => ` * ${line.replaceAll('*/', '* /')}`), ' */'].join('\n');
  }

  get #inner(): ('v0' | 'v1')[] {
    return (['v0', 'v1'] as const).filter((name) => this.#body.inputs.has(name));
  }

  get #options(): Option[] {
    const { groups, movingDecay } = this.#exported;
    const body = this.#body;
    const number = (name: string, value: number, doc: string): Option => ({
      ...{ name, type: 'number', value: numeral(value), doc },
    });
    return [
      ...(body.grouped
        ? [number('groups', groups, 'the largest divisor of the channels up to this is taken')]
        : []),
      ...(body.mentions('this.epsilon')
        ? [number('epsilon', EPSILON, 'what keeps roots and denominators from 0')]
        : []),
      ...(body.moving.length > 0
        ? [number('momentum', movingDecay, 'of the moving statistics; see above')]
        : []),
      {
        ...{ name: 'affine', type: 'boolean', value: 'true' },
        doc: 'whether the output is scaled by gamma and shifted by beta',
      },
      {
        ...{ name: 'zeroInit', type: 'boolean', value: 'false' },
        doc: 'gamma starts at 0, for the last layer of a residual branch',
      },
    ];
  }

  #doc(): string[] {
    const { shape, sequence } = this.#axes;
    const moving = [
      '',
      'Inference reads moving statistics in place of moments over the batch. A training step moves each:',
      's = momentum * s + (1 - momentum) * statistic of the batch, its variance biased.',
    ];
    const lines = [
      `Input and output: ${shape}, or ${sequence}.`,
      ...(this.#body.moving.length > 0 ? moving : []),
    ];
    return ['/**', ...lines.map((line) => ` * ${line}`.trimEnd()), ' */'];
  }

  #initializer(): string[] {
    return [
      '/** @param {LayerOptions & Options} [config] */',
      'constructor(config = {}) {',
      '  super(config);',
      ...this.#options.map(({ name, value }) => `  this.${name} = config.${name} ?? ${value};`),
      '}',
    ];
  }

  #build(): string[] {
    const { channels } = this.#axes;
    const weight = (name: string, initial: string, shape = '[channels]', fixed = '') =>
      `this.${name} = this.addWeight('${name}', ${shape}, 'float32', ${initial}${fixed});`;
    const ones = 'tf.initializers.ones()';
    const zeros = 'tf.initializers.zeros()';
    return [
      '/** @param {tf.Shape} inputShape */',
      'build(inputShape) {',
      ...indent([
        `const channels = inputShape${channels === 1 ? '[1]' : '.at(-1)'} ?? 0;`,
        'if ((inputShape.length !== 3 && inputShape.length !== 4) || channels < 1) {',
        `  throw new Error(\`expected ${this.#axes.shape} with a known C, not [\${inputShape}]\`);`,
        '}',
        `const axes = { [${channels === 1 ? 1 : -1}]: channels };`,
        'this.inputSpec = [new tf.InputSpec({ minNDim: 3, maxNDim: 4, axes })];',
        ...(this.#body.grouped
          ? [
              'this.groupCount = Math.min(this.groups, channels);',
              'while (channels % this.groupCount > 0) this.groupCount--;',
            ]
          : []),
        ...this.#inner.map((name) => weight(name, `tf.initializers.${INITIAL[name]}()`)),
        'if (this.affine) {',
        `  const initial = this.zeroInit ? ${zeros} : ${ones};`,
        ...indent([weight('gamma', 'initial'), weight('beta', zeros)]),
        '}',
        ...this.#body.moving.flatMap((moving) => this.#movingWeight(moving)),
        'super.build(inputShape);',
      ]),
      '}',
    ];
  }

  #movingWeight({ name, perChannel, initial }: Moving): string[] {
    const start = `tf.initializers.${initial ? 'ones' : 'zeros'}()`;
    const shape = perChannel ? '[channels]' : '[1]';
    const call = `this.addWeight('${name}', ${shape}, 'float32', ${start}, undefined, false)`;
    return broken(`this.${name} = ${call}`, 4);
  }

  #call(): string[] {
    const { width } = this.#axes;
    const moves = this.#body.moving.length > 0;
    return [
      '/**',
      ' * @param {tf.Tensor | tf.Tensor[]} inputs',
      ...(moves ? [' * @param {{ training?: boolean }} [kwargs]'] : []),
      ' * @returns {tf.Tensor}',
      ' */',
      `call(inputs${moves ? ', kwargs' : ''}) {`,
      ...indent([
        ...(moves ? ['const training = kwargs?.training ?? false;'] : []),
        'return tf.tidy(() => {',
        ...indent([
          'const input = Array.isArray(inputs) ? inputs[0] : inputs;',
          `const x = input.rank === 3 ? tf.expandDims(input, ${width}) : input;`,
          ...(this.#body.inputs.has('zero') ? ['const zero = tf.zeros([1, 1, 1, 1]);'] : []),
          ...this.#inner.map((name) => `const ${name} = perChannel(this.${name});`),
          ...this.#body.statements,
          'if (this.affine) {',
          '  out = tf.add(tf.mul(perChannel(this.gamma), out), perChannel(this.beta));',
          '}',
          `return input.rank === 3 ? tf.squeeze(out, [${width}]) : out;`,
        ]),
        '});',
      ]),
      '}',
    ];
  }

  #config(): string[] {
    return [
      'getConfig() {',
      '  return {',
      '    ...super.getConfig(),',
      ...this.#options.map(({ name }) => `    ${name}: this.${name},`),
      '  };',
      '}',
    ];
  }

  #overBatch(): string[] {
    return [
      '/**',
      ' * The statistic of this batch in training, the moving one at inference.',
      ' * @param {boolean} training',
      ' * @param {tf.Tensor} a',
      ' * @param {Moment} statistic',
      ' * @param {Weight | undefined} moving',
      ' */',
      '#overBatch(training, a, statistic, moving) {',
      ...indent([
        'const old = perChannel(moving);',
        'if (!training) return old;',
        `const batch = statistic(a, ${array(this.#axes.batch)});`,
        'const change = tf.mul(1 - this.momentum, tf.sub(batch, old));',
        'moving?.write(tf.reshape(tf.add(old, change), [-1]));',
        'return batch;',
      ]),
      '}',
    ];
  }

  #overGroups(): string[] {
    const { sizes, split, axes, member, joined } = GROUPS[this.#style.layout];
    return [
      '/**',
      ' * The statistic over space and a group, repeated for the channels of the group.',
      ' * @param {tf.Tensor} a',
      ' * @param {Moment} statistic',
      ' */',
      '#overGroups(a, statistic) {',
      ...indent([
        `const ${sizes} = a.shape;`,
        'const size = channels / this.groupCount;',
        `const moment = statistic(tf.reshape(a, ${split}), ${array(axes)});`,
        `return tf.reshape(tf.mul(moment, tf.ones(${member})), ${joined});`,
      ]),
      '}',
    ];
  }

  #perChannel(): string {
    return documented(
      ['A weight with the axes of an image.', '@param {Weight | undefined} weight'],
      `\
function perChannel(weight) {
  if (!weight) throw new Error('the layer must be built before it is called');
  return tf.reshape(weight.read(), ${array(this.#axes.perChannel)});
}`,
    );
  }

  #selfTest(): string[] {
    const { layer, movingDecay } = this.#exported;
    const { className, layout } = this.#style;
    const vectors = golden(layer, movingDecay);
    const trained: ParameterName[] = [...this.#inner, 'gamma', 'beta'];
    const moving = this.#body.moving.map(({ name }) => name);
    const lines = goldenLines(namedVectors(vectors, trained, moving, layout), LINE);
    const options = this.#body.grouped ? `{ groups: ${vectors.groups} }` : '';
    const training = moving.length > 0 ? "step !== 'inference'" : 'false';
    return [
      [
        '// What the reference computes: `name value value ...;`, images in the order of this module.',
        'const GOLDEN = `',
        ...lines,
        '`;',
      ].join('\n'),
      selfTest(className, options, this.#sizes(vectors.shape), training, moving.length > 0),
      DIFFERENTIATED,
      READ,
      CHECK,
    ];
  }

  #sizes(shape: LayerShape): string {
    return array(this.#axes.sizes.map((axis) => shape[axis]));
  }
}
