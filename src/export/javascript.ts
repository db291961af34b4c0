/** What JavaScript modules of layers on TensorFlow.js are written with: lines, and functions that do not differ. */

/** Columns of a line. */
export const LINE = 100;

/** Lines one level deeper. */
export const indent = (lines: readonly string[]): string[] =>
  lines.map((line) => (line === '' ? '' : `  ${line}`));

/** As JavaScript's formatters write it. */
export const numeral = (value: number): string =>
  value !== 0 && Math.abs(value) < 1e-3 ? value.toExponential() : String(value);

/** A statement that is `depth` characters in: a call too long for one line gets a line for each argument. */
export function broken(statement: string, depth: number): string[] {
  if (statement.length < LINE - depth) return [`${statement};`];
  const open = statement.indexOf('(') + 1;
  const args = topLevel(statement.slice(open, -1));
  return [statement.slice(0, open), ...args.map((arg) => `  ${arg},`), ');'];
}

/** The arguments in a list of them. */
function topLevel(list: string): string[] {
  const args: string[] = [];
  let depth = 0;
  let from = 0;
  for (const [i, character] of [...list].entries()) {
    if ('(['.includes(character)) depth++;
    if (')]'.includes(character)) depth--;
    if (character !== ',' || depth > 0) continue;
    args.push(list.slice(from, i).trim());
    from = i + 1;
  }
  return [...args, list.slice(from).trim()];
}

export const selfTest = (
  className: string,
  options: string,
  sizes: string,
  training: string,
  moves: boolean,
): string =>
  [
    '/** Two training steps and one at inference, against a reference in double precision. */',
    'async function selfTest() {',
    ...indent([
      'await tf.ready();',
      `const shape = ${sizes};`,
      `const layer = new ${className}(${options});`,
      'layer.build(shape);',
      'for (const weight of layer.trainableWeights) {',
      '  weight.write(tf.tensor1d(golden(weight.originalName)));',
      '}',
      "for (const step of ['first', 'second', 'inference']) {",
      ...indent([
        // biome-ignore lint/suspicious/noTemplateCurlyInString: code that is written
        'const x = tf.variable(tf.tensor(golden(`${step}.x`), shape));',
        // biome-ignore lint/suspicious/noTemplateCurlyInString: code that is written
        'const dy = tf.tensor(golden(`${step}.dy`), shape);',
        `const { y, gradients } = differentiated(layer, x, dy, ${training});`,
        // biome-ignore lint/suspicious/noTemplateCurlyInString: code that is written
        'check(`${step}.y`, y);',
        // biome-ignore lint/suspicious/noTemplateCurlyInString: code that is written
        'for (const { name, gradient } of gradients) check(`${step}.d${name}`, gradient);',
      ]),
      '}',
      ...(moves
        ? [
            'for (const weight of layer.nonTrainableWeights) check(weight.originalName, weight.read());',
          ]
        : []),
    ]),
    '}',
  ].join('\n');

export const DIFFERENTIATED = `\
/**
 * The output, and the gradients of sum(output * dy) with the names of what they belong to.
 * @param {tf.layers.Layer} layer
 * @param {tf.Variable} x
 * @param {tf.Tensor} dy
 * @param {boolean} training
 */
function differentiated(layer, x, dy, training) {
  const weights = layer.trainableWeights.map((weight) => weight.read());
  const variables = [x, .../** @type {tf.Variable[]} */ (weights)];
  /** @type {tf.Tensor[]} */
  const outputs = [];
  const { grads } = tf.variableGrads(() => {
    const y = /** @type {tf.Tensor} */ (layer.call(x, { training }));
    outputs.push(tf.keep(y));
    return tf.sum(tf.mul(y, dy));
  }, variables);
  const names = ['x', ...layer.trainableWeights.map((weight) => weight.originalName)];
  const gradients = variables.map(({ name }, i) => ({ name: names[i], gradient: grads[name] }));
  return { y: outputs[0], gradients };
}`;

export const READ = `\
/** @param {string} name */
function golden(name) {
  const words = GOLDEN.split(';').map((vector) => vector.trim().split(/\\s+/));
  const [, ...values] = words.find(([first]) => first === name) ?? [];
  return Float32Array.from(values, Number);
}`;

export const CHECK = `\
/**
 * @param {string} name
 * @param {tf.Tensor | undefined} actual
 */
function check(name, actual) {
  const expected = golden(name);
  const values = actual ? actual.dataSync() : new Float32Array(expected.length);
  const scale = Math.max(1, ...expected.map(Math.abs));
  const difference = Math.max(...expected.map((value, i) => Math.abs(values[i] - value))) / scale;
  const off = \`off by \${difference.toExponential(1)} at most\`;
  console.log(\`\${name}: \${expected.length} values, \${off}\`);
  if (!(difference < 1e-4)) throw new Error(\`\${name} is [\${values}], not [\${expected}]\`);
}`;

/** Top-level code that bundlers for browsers can take, and that resolves links as Node does. */
export const PROGRAM = `\
/** Whether Node runs this file itself. */
function isProgram() {
  const { process } = /** @type {any} */ (globalThis);
  const file = process?.argv?.[1];
  const fs = process?.getBuiltinModule?.('node:fs');
  const url = process?.getBuiltinModule?.('node:url');
  if (!file || !fs?.existsSync(file)) return false;
  return import.meta.url === url.pathToFileURL(fs.realpathSync(file)).href;
}

if (isProgram()) await selfTest();`;

const TYPES = {
  a: '@param {tf.Tensor} a',
  b: '@param {tf.Tensor} b',
  epsilon: '@param {number} epsilon',
  axes: '@param {number[]} axes',
  tensor: '@returns {tf.Tensor}',
} as const;

/** A function under a comment of several lines. */
export const documented = (lines: readonly string[], source: string): string =>
  ['/**', ...lines.map((line) => ` * ${line}`), ' */', source].join('\n');

const moment = (what: string, source: string): string =>
  documented([what, TYPES.a, TYPES.axes, TYPES.tensor], source);

export const HELPERS = {
  reduced: documented(
    ['The sum over the axes along which a value of this shape was broadcast.', TYPES.a],
    `\
function reduced(a, shape) {
  const axes = shape.flatMap((size, axis) => (size === a.shape[axis] ? [] : [axis]));
  return axes.length > 0 ? tf.sum(a, axes, true) : a;
}`,
  ).replace(' */', ' * @param {number[]} shape\n * @returns {tf.Tensor}\n */'),
  maximum: documented(
    ['With half of the gradient for each at a tie.', TYPES.a, TYPES.b, TYPES.tensor],
    `\
function maximum(a, b) {
  const function_ = tf.customGrad((...inputs) => {
    const [a, b, save] = /** @type {[tf.Tensor, tf.Tensor, Save]} */ (inputs);
    save([a, b]);
    /** @type {Gradients} */
    const gradFunc = (dy, [a, b]) => {
      const above = tf.cast(tf.greater(a, b), 'float32');
      const share = tf.add(above, tf.mul(0.5, tf.cast(tf.equal(a, b), 'float32')));
      const rest = tf.sub(1, share);
      return [reduced(tf.mul(dy, share), a.shape), reduced(tf.mul(dy, rest), b.shape)];
    };
    return { value: tf.maximum(a, b), gradFunc };
  });
  return function_(a, b);
}`,
  ),
  guard: documented(
    [
      'b, or epsilon with the sign of b (+ at 0) where b is smaller than epsilon.',
      TYPES.b,
      TYPES.epsilon,
      TYPES.tensor,
    ],
    `\
function guard(b, epsilon) {
  const function_ = tf.customGrad((...inputs) => {
    const [b, save] = /** @type {[tf.Tensor, Save]} */ (inputs);
    const small = tf.less(tf.abs(b), epsilon);
    const sign = tf.sub(1, tf.mul(2, tf.cast(tf.less(b, 0), 'float32')));
    save([tf.cast(tf.logicalNot(small), 'float32')]);
    /** @type {Gradients} */
    const gradFunc = (dy, [large]) => tf.mul(dy, large);
    return { value: tf.where(small, tf.mul(epsilon, sign), b), gradFunc };
  });
  return function_(b);
}`,
  ),
  absolute: documented(
    ['With derivative 0 at 0.', TYPES.a, TYPES.tensor],
    `\
function absolute(a) {
  return tf.mul(tf.sign(a), a);
}`,
  ),
  signedLog: documented(
    [TYPES.a, TYPES.epsilon, TYPES.tensor],
    `\
function signedLog(a, epsilon) {
  return tf.mul(tf.sign(a), tf.log(tf.add(absolute(a), epsilon)));
}`,
  ),
  signedSqrt: documented(
    [TYPES.a, TYPES.epsilon, TYPES.tensor],
    `\
function signedSqrt(a, epsilon) {
  return tf.mul(tf.sign(a), tf.sqrt(tf.add(absolute(a), epsilon)));
}`,
  ),
  mean: moment(
    'The mean.',
    `\
function mean(a, axes) {
  return tf.mean(a, axes, true);
}`,
  ),
  meanSquare: moment(
    'The mean of the squares.',
    `\
function meanSquare(a, axes) {
  return tf.mean(tf.square(a), axes, true);
}`,
  ),
  variance: moment(
    'The biased variance.',
    `\
function variance(a, axes) {
  return tf.moments(a, axes, true).variance;
}`,
  ),
} as const;

export type Helper = keyof typeof HELPERS;
