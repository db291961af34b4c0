/*
 * EvoNorm-S0.
 * y = gamma * (x * sigmoid(v1 * x) / std[whc/g](x)) + beta
 * id: 0123456789abcdef
 */

import * as tf from '@tensorflow/tfjs';

/** @typedef {ConstructorParameters<typeof tf.layers.Layer>[0]} LayerOptions */
/** @typedef {tf.layers.Layer['weights'][number]} Weight */
/** @typedef {(a: tf.Tensor, axes: number[]) => tf.Tensor} Moment */

/**
 * @typedef {object} Options
 * @property {number} [groups] the largest divisor of the channels up to this is taken
 * @property {number} [epsilon] what keeps roots and denominators from 0
 * @property {boolean} [affine] whether the output is scaled by gamma and shifted by beta
 * @property {boolean} [zeroInit] gamma starts at 0, for the last layer of a residual branch
 */

/**
 * Input and output: (N, H, W, C), or (N, L, C).
 */
export class EvoNormS0 extends tf.layers.Layer {
  static className = 'EvolayerEvoNormS0';
  groupCount = 1;

  /** @param {LayerOptions & Options} [config] */
  constructor(config = {}) {
    super(config);
    this.groups = config.groups ?? 32;
    this.epsilon = config.epsilon ?? 1e-5;
    this.affine = config.affine ?? true;
    this.zeroInit = config.zeroInit ?? false;
  }

  /** @param {tf.Shape} inputShape */
  build(inputShape) {
    const channels = inputShape.at(-1) ?? 0;
    if ((inputShape.length !== 3 && inputShape.length !== 4) || channels < 1) {
      throw new Error(`expected (N, H, W, C) with a known C, not [${inputShape}]`);
    }
    const axes = { [-1]: channels };
    this.inputSpec = [new tf.InputSpec({ minNDim: 3, maxNDim: 4, axes })];
    this.groupCount = Math.min(this.groups, channels);
    while (channels % this.groupCount > 0) this.groupCount--;
    this.v1 = this.addWeight('v1', [channels], 'float32', tf.initializers.ones());
    if (this.affine) {
      const initial = this.zeroInit ? tf.initializers.zeros() : tf.initializers.ones();
      this.gamma = this.addWeight('gamma', [channels], 'float32', initial);
      this.beta = this.addWeight('beta', [channels], 'float32', tf.initializers.zeros());
    }
    super.build(inputShape);
  }

  /**
   * @param {tf.Tensor | tf.Tensor[]} inputs
   * @returns {tf.Tensor}
   */
  call(inputs) {
    return tf.tidy(() => {
      const input = Array.isArray(inputs) ? inputs[0] : inputs;
      const x = input.rank === 3 ? tf.expandDims(input, 2) : input;
      const v1 = perChannel(this.v1);
      const varianceWhcg = this.#overGroups(x, variance);
      const stdWhcg = tf.sqrt(tf.add(varianceWhcg, this.epsilon));
      let out = tf.div(tf.mul(x, tf.sigmoid(tf.mul(v1, x))), stdWhcg);
      if (this.affine) {
        out = tf.add(tf.mul(perChannel(this.gamma), out), perChannel(this.beta));
      }
      return input.rank === 3 ? tf.squeeze(out, [2]) : out;
    });
  }

  getConfig() {
    return {
      ...super.getConfig(),
      groups: this.groups,
      epsilon: this.epsilon,
      affine: this.affine,
      zeroInit: this.zeroInit,
    };
  }

  /**
   * The statistic over space and a group, repeated for the channels of the group.
   * @param {tf.Tensor} a
   * @param {Moment} statistic
   */
  #overGroups(a, statistic) {
    const [n, h, w, channels] = a.shape;
    const size = channels / this.groupCount;
    const moment = statistic(tf.reshape(a, [n, h * w, this.groupCount, size]), [1, 3]);
    return tf.reshape(tf.mul(moment, tf.ones([1, 1, 1, size])), [n, 1, 1, channels]);
  }
}

tf.serialization.registerClass(EvoNormS0);

/**
 * A weight with the axes of an image.
 * @param {Weight | undefined} weight
 */
function perChannel(weight) {
  if (!weight) throw new Error('the layer must be built before it is called');
  return tf.reshape(weight.read(), [1, 1, 1, -1]);
}

/**
 * The biased variance.
 * @param {tf.Tensor} a
 * @param {number[]} axes
 * @returns {tf.Tensor}
 */
function variance(a, axes) {
  return tf.moments(a, axes, true).variance;
}

// What the reference computes: `name value value ...;`, images in the order of this module.
const GOLDEN = `
v1 0.55 0.87 1.27 1.06;
gamma 0.71 1.08 0.85 0.95;
beta 0.18 0.67 -0.53 0.96;
first.x 1.64 -0.49 0.93 0.33 -0.94 -1.38 -1.52 -0.52 -1.28 1.03 0.53 -0.28 -0.75 1.2 1.92 -1.09
-0.46 2.13 -0.25 0.39 0.06 2.18 1.7 1.05 2.03 2.1 -1.18 -0.31 0.94 -1.15 0.17 -1.1 0.57 1.69 -0.48
-1.72 2 -0.88 1.53 -1.7 -0.26 -1.61 -0.42 -1.28 1.44 -0.17 -1.21 0.64;
first.dy 0.59 0.87 -0.98 -0.94 1 0.61 -0.09 -0.22 0.34 0.93 0.47 -0.02 -0.17 -0.71 0.8 0.49 0.27
0.16 0.08 -0.9 -0.16 0.13 0.89 -0.33 0.55 -0.45 0.82 0.88 -0.14 -0.14 -0.29 -0.96 0.32 0.5 -0.12 0
0.68 -0.44 -1 -0.3 0.32 -0.84 -0.41 -0.57 -0.51 0.55 0 0.23;
first.y 0.83476981 0.50475628 0.071161407 1.1427687 -0.01707721 0.39741379 -0.69270689 0.78050112
-0.057736565 1.2944624 -0.23349833 0.84728471 0.012335659 1.4277241 0.96181775 0.7135049 0.06715583
2.2420287 -0.61897751 1.1816459 0.19711525 2.2882654 0.75755743 1.7062306 1.0271285 2.1942437
-0.72415391 0.8293445 0.50619277 0.40948962 -0.44518807 0.69686023 0.36241882 1.8278719 -0.68228285
0.71918325 1.0111984 0.43462453 0.67566941 0.7176058 0.1131279 0.40179189 -0.6698971 0.69609773
0.72900747 0.6036647 -0.72296484 1.3874935;
first.dx 0.27521439 0.22914215 -0.87484071 -0.60224574 0.16016338 0.034543755 0.18310039 0.028277858
0.057094578 0.69808887 0.29661294 0.047264247 -0.013114319 -0.58502522 0.57980593 0.14744037
0.067753728 0.11845649 0.074220805 -0.60793973 -0.043507356 0.090325855 0.68295229 -0.37658479
0.2207381 -0.4847417 -0.077686865 0.32230344 -0.076633979 0.075050131 -0.097939173 -0.066436362
0.11539686 0.38134434 -0.0143671 -0.090551237 0.28972318 0.014170262 -0.81039019 -0.065560332
0.11602887 0.12338639 -0.077184816 -0.046062575 -0.28557449 0.23319908 -0.049743168 0.28699994;
first.dv1 0.75400496 -0.040609018 0.16312806 -0.46081124;
first.dgamma 1.1917646 0.38564699 0.68621649 -0.24997389;
first.dbeta 3.09 1.17 0.17 -2.64;
second.x 0.51 2.13 0.12 -0.61 2.15 1.08 0.71 0 0.61 -1.33 1.96 1.5 -1.76 -1.03 0.45 -1.73 0.45 0.1
0.02 -0.03 -1.72 0.92 2.01 1.15 0.23 1.43 -0.4 0.75 2.07 -0.61 1.32 0.54 0.52 -1.24 -1.7 0.45 1.54
-1.47 -1.64 2.04 -0.9 -0.51 -0.63 -0.06 1.2 -0.48 -0.84 -1.39;
second.dy 0.39 0.35 0.05 -0.03 -0.23 -0.97 0.4 -0.83 0.73 0.3 0.23 -0.04 0.41 -0.52 0.36 -0.3 -0.23
0.23 0.51 0.6 0.97 0.6 -0.39 0.69 -0.8 0.3 -0.92 -0.86 -0.62 0.49 -0.39 0.33 0.68 -0.16 0.66 -0.2
0.24 -0.88 0.19 -0.36 -0.04 -0.76 -1 -0.78 0.81 -0.23 0.2 0;
second.y 0.33769864 2.1903398 -0.47722296 0.76842224 1.0732244 1.3111576 -0.1171707 0.96 0.37306608
0.40733403 0.94943961 2.0982992 -0.082979319 0.42350099 -0.29490265 0.74222067 0.31716548 0.71307763
-0.52172171 0.9465136 -0.081120319 1.194174 0.99436634 1.7709922 0.2562039 1.7224378 -0.64225396
1.3913884 1.157184 0.45581443 0.30071144 1.2482428 0.36506761 0.37170725 -0.66143305 1.1918322
0.85182831 0.36654494 -0.66572144 2.4875129 -0.032439359 0.48101174 -0.67589885 0.93574844
0.67307909 0.48929289 -0.69065108 0.74364312;
second.dx 0.13696709 0.32318264 0.038834333 0.042472755 -0.11132553 -0.72296815 0.28207246
-0.35849688 0.26572432 -0.001099654 0.13984139 -0.084863369 0.0077562783 -0.051811529 0.227427
0.11986102 -0.0762232 0.10278865 0.23350484 0.28736556 0.036603859 0.43070539 -0.41942876 0.59119945
-0.28463809 0.22142854 -0.19494027 -0.55623689 -0.46470576 0.15054302 -0.21015266 0.25877665
0.25406777 0.058375082 -0.15614267 -0.081811137 0.06527458 0.07687054 -0.11765893 -0.17987127
0.04320632 -0.17427344 -0.13825865 -0.30009268 0.35777497 -0.034972944 -0.041131907 -0.08699938;
second.dv1 0.34114873 -0.22557956 0.045843649 -0.15676079;
second.dgamma -0.51760283 0.92104576 -0.25537915 -0.29072298;
second.dbeta 2.31 -1.25 -0.1 -1.78;
inference.x -0.58 0.19 2.01 -1.44 -0.69 1.34 0.17 0.11 1.19 1.68 -0.02 0.88 -1.03 0.62 -1.26 2.17
-0.36 -0.59 -0.78 -1.41 -0.87 -0.3 1.9 1.24 -1.17 1.24 0.75 0.35 -0.4 1.35 -0.25 0.26 -0.82 -0.28
0.59 0.87 -0.26 1.09 0.7 0.69 1.3 1.32 2.14 1.42 1.99 -0.43 0.41 -0.79;
inference.dy -0.63 -0.13 -0.23 0.24 0.12 -0.47 0.9 -0.77 0.59 -0.78 0.69 -0.19 -0.72 0.52 -0.31 0.52
0.36 -0.23 -0.24 0.81 0.62 -0.9 0.37 -0.13 0.72 -0.63 -0.34 0.39 0.96 0.32 0.67 0.03 0.66 -0.13 0.02
-0.67 0.52 0.61 0.74 -0.03 -0.27 0.48 -0.71 -0.99 0.43 0.76 -0.54 -0.02;
inference.y -0.013565102 0.79402289 0.7006183 0.77039461 -0.04224901 1.9020961 -0.46787454 1.0029283
0.80085276 2.3147944 -0.53651544 1.4257898 -0.11566479 1.1423341 -0.66965426 2.4146939 0.051366939
0.40357389 -0.66938856 0.76944517 -0.083919524 0.51256777 0.6208059 1.6809144 -0.10094759 1.651267
0.11916557 1.2376271 0.055851534 1.7636398 -0.65632904 1.1581392 -0.042436856 0.53953656
-0.049464396 1.7944775 0.095843418 1.5030987 0.065028244 1.5844777 0.78855324 1.7327035 1.8778839
2.5178244 1.219377 0.48416759 -0.22150075 0.64007762;
inference.dx -0.23459433 -0.077252537 -0.21945079 0.045409394 -0.044270829 -0.42249251 0.36450726
-0.31123046 0.49104335 -0.81027068 0.23165563 -0.1449697 -0.2402959 0.53202121 0.05928562 0.36405716
0.073523517 -0.13469478 0.02122818 0.028346448 0.040251959 -0.43776494 0.21926651 -0.12560009
0.15029669 -0.66141608 -0.27635491 0.20452743 0.28740975 0.30119489 -0.24681973 -0.18183076
0.16890306 -0.030302158 0.017111321 -0.64099365 0.17678117 0.56805611 0.85694583 0.025215379
-0.18439177 0.46434216 0.023230143 -0.87225811 0.23594638 0.28242703 -0.59970631 -0.86087508;
inference.dv1 0.49030208 -0.31488219 -0.22899767 -0.19496853;
inference.dgamma 0.3311382 -0.74424536 -1.7184624 -1.745422;
inference.dbeta 3.36 -0.58 1.02 -0.81;
`;

/** Two training steps and one at inference, against a reference in double precision. */
async function selfTest() {
  await tf.ready();
  const shape = [2, 2, 3, 4];
  const layer = new EvoNormS0({ groups: 2 });
  layer.build(shape);
  for (const weight of layer.trainableWeights) {
    weight.write(tf.tensor1d(golden(weight.originalName)));
  }
  for (const step of ['first', 'second', 'inference']) {
    const x = tf.variable(tf.tensor(golden(`${step}.x`), shape));
    const dy = tf.tensor(golden(`${step}.dy`), shape);
    const { y, gradients } = differentiated(layer, x, dy, false);
    check(`${step}.y`, y);
    for (const { name, gradient } of gradients) check(`${step}.d${name}`, gradient);
  }
}

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
}

/** @param {string} name */
function golden(name) {
  const words = GOLDEN.split(';').map((vector) => vector.trim().split(/\s+/));
  const [, ...values] = words.find(([first]) => first === name) ?? [];
  return Float32Array.from(values, Number);
}

/**
 * @param {string} name
 * @param {tf.Tensor | undefined} actual
 */
function check(name, actual) {
  const expected = golden(name);
  const values = actual ? actual.dataSync() : new Float32Array(expected.length);
  const scale = Math.max(1, ...expected.map(Math.abs));
  const difference = Math.max(...expected.map((value, i) => Math.abs(values[i] - value))) / scale;
  const off = `off by ${difference.toExponential(1)} at most`;
  console.log(`${name}: ${expected.length} values, ${off}`);
  if (!(difference < 1e-4)) throw new Error(`${name} is [${values}], not [${expected}]`);
}

/** Whether Node runs this file itself. */
function isProgram() {
  const { process } = /** @type {any} */ (globalThis);
  const file = process?.argv?.[1];
  const fs = process?.getBuiltinModule?.('node:fs');
  const url = process?.getBuiltinModule?.('node:url');
  if (!file || !fs?.existsSync(file)) return false;
  return import.meta.url === url.pathToFileURL(fs.realpathSync(file)).href;
}

if (isProgram()) await selfTest();
