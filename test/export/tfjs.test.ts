import { spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import * as tf from '@tensorflow/tfjs';
import { afterAll, describe, expect, test } from 'vitest';
import { runSelfTest } from '../../src/cli/self-tests.ts';
import { packageRoot } from '../../src/eval/package-root.ts';
import type { CodeStyle } from '../../src/export/exported.ts';
import type { Golden, GoldenStep, ParameterName } from '../../src/export/golden.ts';
import { TARGETS } from '../../src/export/targets.ts';
import { tfjs } from '../../src/export/tfjs.ts';
import type { LayerShape } from '../../src/graph/extent.ts';
import type { LayerGraph } from '../../src/graph/graph.ts';
import { parseLayer } from '../../src/graph/text.ts';
import { ZOO } from '../../src/graph/zoo.ts';
import { temporaryFolder } from '../cli/process.ts';
import { exportedOf, type SingleCase, singleSubjects } from './vectors.ts';

/*
 * Exported TensorFlow.js layers against the fp64 interpreter, in single precision, which is all that
 * TensorFlow.js has.
 */

type Layout = CodeStyle['layout'];
const LAYOUTS: readonly Layout[] = ['nhwc', 'nchw'];
const SUBJECTS = [...singleSubjects()];
const KNOWN = SUBJECTS.filter(({ kind }) => kind !== 'candidate');
const CANDIDATES = SUBJECTS.filter(({ kind }) => kind === 'candidate');

/** Where imports of packages resolve as in a project that has them. */
const folder = mkdtempSync(join(packageRoot(), 'dist', 'exported-'));
const SOURCES = join(folder, 'sources');
mkdirSync(SOURCES);
afterAll(() => rmSync(folder, { recursive: true }));

interface Options {
  readonly name?: string;
  readonly groups?: number;
  readonly momentum?: number;
  readonly affine?: boolean;
  readonly zeroInit?: boolean;
}

type LayerClass = new (options?: Options) => tf.layers.Layer;

let written = 0;

/** The class of the exported file, under a name of its own: TensorFlow.js keeps classes by their names. */
async function classOf(layer: LayerGraph, layout: Layout = 'nhwc'): Promise<LayerClass> {
  const className = `Layer${++written}`;
  const file = join(SOURCES, `${className}.mjs`);
  writeFileSync(file, tfjs(exportedOf(layer, null), { className, layout }));
  const module: Record<string, LayerClass> = await import(pathToFileURL(file).href);
  return module[className]!;
}

const zoo = (name: string): LayerGraph => ZOO.find((known) => known.name === name)!.layer;

const ORDERS = { nhwc: [0, 1, 2, 3], nchw: [0, 3, 1, 2] };
const BACK = { nhwc: [0, 1, 2, 3], nchw: [0, 2, 3, 1] };

const images = (values: Float64Array, { batch, height, width, channels }: LayerShape) =>
  tf.tensor4d(Float32Array.from(values), [batch, height, width, channels]);

/** Weights are named as the file's self-test names them. */
const nameOf = ({ originalName }: LayerWeight): string => originalName.split('/').at(-1)!;
type LayerWeight = tf.layers.Layer['weights'][number];

function expectClose(
  actual: tf.Tensor | null | undefined,
  expected: Float64Array,
  tolerance: number,
  what: string,
) {
  const values = actual ? actual.dataSync() : new Float32Array(expected.length);
  expect(values.length, what).toBe(expected.length);
  const scale = expected.reduce((max, value) => Math.max(max, Math.abs(value)), 1);
  const difference = expected.reduce(
    (max, value, i) => Math.max(max, Math.abs(values[i]! - value)),
    0,
  );
  expect(difference / scale, what).toBeLessThanOrEqual(tolerance);
}

/** Two training steps and inference; gradients are those of sum(y · dy). */
function expectCase(Layer: LayerClass, layout: Layout, { golden, tolerance }: SingleCase): void {
  const { shape, parameters, steps, inference, statistics } = golden;
  const layer = new Layer({ groups: shape.groups });
  const { batch, height, width, channels } = shape;
  const sizes = [batch, height, width, channels];
  layer.build(ORDERS[layout].map((axis) => sizes[axis]!));
  for (const weight of layer.trainableWeights)
    weight.write(tf.tensor1d(Float32Array.from(parameters[nameOf(weight) as ParameterName])));
  const check = (step: GoldenStep, training: boolean) =>
    expectStep(layer, { layout, shape, step, training, tolerance });
  for (const step of steps) check(step, true);
  check(inference, false);
  expect(layer.nonTrainableWeights).toHaveLength(statistics.length);
  // Inference left them as they were.
  for (const [i, expected] of statistics.entries())
    expectClose(layer.nonTrainableWeights[i]!.read(), expected, tolerance, `statistic ${i}`);
  tf.dispose(layer.weights.map((weight) => weight.read()));
}

interface Step {
  readonly layout: Layout;
  readonly shape: Golden['shape'];
  readonly step: GoldenStep;
  readonly training: boolean;
  readonly tolerance: number;
}

function expectStep(layer: tf.layers.Layer, { layout, shape, step, training, tolerance }: Step) {
  tf.tidy(() => {
    const ordered = (values: Float64Array) => tf.transpose(images(values, shape), ORDERS[layout]);
    const x = tf.variable(ordered(step.x));
    const variables = layer.trainableWeights.map((weight) => weight.read() as tf.Variable);
    const outputs: tf.Tensor[] = [];
    const { grads } = tf.variableGrads(() => {
      const y = tf.keep(layer.call(x, { training }) as tf.Tensor);
      outputs.push(y);
      return tf.sum(tf.mul(y, ordered(step.dy)));
    }, [x, ...variables]);
    const { y, dx, ...gradients } = step.result;
    const back = (tensor: tf.Tensor | null | undefined) =>
      tensor && tf.transpose(tensor, BACK[layout]);
    expectClose(back(outputs[0]), y, tolerance, 'y');
    expectClose(back(grads[x.name]), dx, tolerance, 'dx');
    for (const [i, weight] of layer.trainableWeights.entries()) {
      const name = `d${nameOf(weight)}` as keyof typeof gradients;
      expectClose(grads[variables[i]!.name], gradients[name], tolerance, name);
    }
    tf.dispose([x, ...outputs]);
  });
}

describe('equals the interpreter, forward and backward, in training and at inference', () => {
  test.each(KNOWN)('$name, in both layouts and on every shape', async ({ layer, cases }) => {
    for (const layout of LAYOUTS) {
      const Layer = await classOf(layer, layout);
      for (const single of cases) expectCase(Layer, layout, single);
    }
  });

  test.each(CANDIDATES.map((subject, i) => ({ ...subject, i })))(
    '$name',
    async ({ layer, cases, i }) => {
      const layout = LAYOUTS[i % 2]!;
      const Layer = await classOf(layer, layout);
      for (const single of cases) expectCase(Layer, layout, single);
    },
  );

  test('within 1e-4 but for the few that amplify rounding wherever they are tried', () => {
    const cases = SUBJECTS.flatMap((subject) => subject.cases);
    const wide = cases.filter(({ tolerance }) => tolerance > 1e-4);
    console.log(`${wide.length} of ${cases.length} cases amplify rounding beyond 1e-4`);
    expect(wide.length).toBeLessThan(cases.length / 20);
  });
});

const random = (shape: number[], seed = 1) => tf.randomNormal(shape, 0, 1, 'float32', seed);
const values = (tensor: tf.Tensor | tf.Tensor[]) => [...(tensor as tf.Tensor).dataSync()];

describe('the layer', () => {
  test.each(LAYOUTS)('takes a sequence as an image of width 1, in %s', async (layout) => {
    for (const name of ['BN-ReLU', 'EvoNorm-B0', 'EvoNorm-S0']) {
      const layer = new (await classOf(zoo(name), layout))();
      const [shape, width] = layout === 'nchw' ? [[3, 6, 5, 1], 3] : [[3, 5, 1, 6], 2];
      const x = random(shape);
      const image = values(layer.apply(x) as tf.Tensor);
      const sequence = layer.call(tf.squeeze(x, [width]), {}) as tf.Tensor;
      expect(sequence.rank).toBe(3);
      expect(values(sequence)).toEqual(image);
    }
  });

  test('can do without affine, and start from zero', async () => {
    const x = random([3, 4, 4, 6]);
    for (const { layer } of ZOO) {
      const Layer = await classOf(layer);
      const whole = values(new Layer().apply(x) as tf.Tensor);
      const bare = new Layer({ affine: false });
      expect(values(bare.apply(x) as tf.Tensor)).toEqual(whole);
      expect(bare.weights.map(nameOf)).not.toContain('gamma');
      expect(
        new Set(values(new Layer({ zeroInit: true }).apply(x) as tf.Tensor).map(Math.abs)),
      ).toEqual(new Set([0]));
    }
  });

  test('that is batch norm equals TensorFlow.js’s', async () => {
    const ours = new (await classOf(zoo('BN-ReLU')))({ momentum: 0.9 });
    const theirs = tf.layers.batchNormalization({ momentum: 0.9, epsilon: 1e-5 });
    const both = (x: tf.Tensor, training: boolean) => {
      const expected = tf.relu(theirs.apply(x, { training }) as tf.Tensor);
      const actual = ours.apply(x, { training }) as tf.Tensor;
      expectClose(actual, Float64Array.from(values(expected)), 1e-5, `training ${training}`);
    };
    for (const seed of [1, 2, 3]) both(tf.add(tf.mul(random([4, 5, 5, 6], seed), 2), 1), true);
    both(random([4, 5, 5, 6], 4), false);
  });

  test('keeps no tensors', async () => {
    const layer = new (await classOf(zoo('EvoNorm-B0')))();
    const x = random([2, 3, 3, 6]);
    layer.apply(x, { training: true });
    const before = tf.memory().numTensors;
    for (let i = 0; i < 3; i++) tf.dispose(layer.call(x, { training: true }));
    expect(tf.memory().numTensors).toBe(before);
  });

  test('refuses other shapes', async () => {
    const Layer = await classOf(zoo('EvoNorm-S0'), 'nchw');
    const said = 'expected (N, C, H, W) with a known C, not [';
    for (const shape of [
      [2, 3],
      [2, null, 4, 4],
      [1, 2, 3, 4, 5],
    ])
      expect(() => new Layer().build(shape)).toThrow(said);
  });
});

describe('channels are fixed when the layer is built', () => {
  test.each(LAYOUTS)('and others are refused, in %s', async (layout) => {
    for (const name of ['EvoNorm-S0', 'ReLU']) {
      const layer = new (await classOf(zoo(name), layout))();
      const [axis, shape, other] =
        layout === 'nchw' ? [1, [2, 6, 4, 5], [2, 4, 5, 6]] : [-1, [2, 4, 5, 6], [2, 6, 5, 4]];
      layer.apply(random(shape));
      const said = `expected axis ${axis} of input shape to have value 6`;
      expect(() => layer.apply(random(other))).toThrow(said);
      expect(() => layer.apply(tf.input({ shape: other.slice(1) }))).toThrow(said);
    }
  });

  test('and until then it cannot be called', async () => {
    const layer = new (await classOf(zoo('EvoNorm-S0')))();
    expect(() => layer.call(random([2, 4, 5, 6]), {})).toThrow('must be built before');
  });
});

test('a layer with a name of TensorFlow.js leaves that one in its place', async () => {
  const known = () => tf.serialization.SerializationMap.getMap().classNameMap;
  const before = { ...known() };
  for (const className of ['ReLU', 'Dense', 'Zeros']) {
    const file = join(SOURCES, `Taken${className}.mjs`);
    writeFileSync(file, tfjs(exportedOf(zoo('ReLU'), null), { className, layout: 'nhwc' }));
    await import(pathToFileURL(file).href);
    expect(known()[`Evolayer${className}`]).toBeDefined();
  }
  expect(known()).toMatchObject(before);
});

const model = (layer: tf.layers.Layer) =>
  tf.sequential({
    layers: [tf.layers.conv2d({ inputShape: [4, 4, 3], filters: 6, kernelSize: 3 }), layer],
  });

describe('a model with the layer', () => {
  test.each(ZOO)('survives saving: $name', async ({ layer }) => {
    const found = new (await classOf(layer))({ name: 'found', groups: 2 });
    const original = model(found);
    for (const [i, weight] of original.weights.entries())
      weight.write(tf.abs(random(weight.shape as number[], i + 1)));
    let saved: tf.io.ModelArtifacts = {};
    await original.save(
      tf.io.withSaveHandler(async (artifacts) => {
        saved = JSON.parse(JSON.stringify({ ...artifacts, weightData: undefined }));
        saved.weightData = artifacts.weightData!;
        return { modelArtifactsInfo: { dateSaved: new Date(0), modelTopologyType: 'JSON' } };
      }),
    );
    const copy = await tf.loadLayersModel(tf.io.fromMemory(saved));
    const x = random([2, 4, 4, 3]);
    expect(values(copy.predict(x))).toEqual(values(original.predict(x)));
    expect(copy.getLayer('found').getConfig()).toEqual(found.getConfig());
  });

  test('learns: fitting moves weights and statistics', async () => {
    const layer = new (await classOf(zoo('EvoNorm-B0')))();
    const whole = model(layer);
    whole.compile({ optimizer: 'sgd', loss: 'meanSquaredError' });
    const before = layer.weights.map((weight) => values(weight.read()));
    await whole.fit(random([16, 4, 4, 3]), random([16, 2, 2, 6]), {
      batchSize: 8,
      epochs: 2,
      verbose: 0,
    });
    for (const [i, weight] of layer.weights.entries())
      expect(values(weight.read()), nameOf(weight)).not.toEqual(before[i]);
  });
});

describe('the file', () => {
  const [selfTest] = TARGETS.tfjs.check;

  test.each(['EvoNorm-B1', 'DyT'])('of %s checks itself, and notices what is off', async (name) => {
    const source = tfjs(exportedOf(zoo(name), name), { className: 'Layer', layout: 'nhwc' });
    // No package is found from there: the one beside evolayer is taken.
    const file = join(temporaryFolder(), 'layer.mjs');
    writeFileSync(file, source);
    expect(await runSelfTest(file, selfTest)).toEqual({ verdict: 'passed' });
    writeFileSync(file, source.replace('let out = ', 'let out = 1.01 * '));
    expect(await runSelfTest(file, selfTest)).toMatchObject({ verdict: 'failed' });
    const [line] = source.split('\n').filter((text) => text.includes('let out = '));
    writeFileSync(file, source.replace(line!, `${line} out = tf.mul(1.01, out);`));
    const bad = await runSelfTest(file, selfTest);
    expect(bad).toMatchObject({ verdict: 'failed' });
    expect(bad).toMatchObject({ output: expect.stringContaining('first.y is [') });
  });

  test('of EvoNorm-S0, whole', async () => {
    const exported = exportedOf(zoo('EvoNorm-S0'), 'EvoNorm-S0');
    const source = tfjs(exported, { className: 'EvoNormS0', layout: 'nhwc' });
    await expect(source).toMatchFileSnapshot('golden/evonorm_s0.mjs');
  });

  test('has types for those who use it', () => {
    const source = tfjs(exportedOf(zoo('BN-ReLU'), null), { className: 'Found', layout: 'nhwc' });
    writeFileSync(join(folder, 'found.mjs'), source);
    const use = (options: string) => `
      import * as tf from '@tensorflow/tfjs';
      import { Found } from './found.mjs';
      export const model = tf.sequential({ layers: [new Found(${options})] });`;
    const compiled = (options: string) => {
      writeFileSync(join(folder, 'use.mts'), use(options));
      const flags = '--strict --noEmit --allowJs --skipLibCheck --module nodenext --target es2022';
      const args = [...flags.split(' '), 'use.mts'];
      return spawnSync(process.execPath, [tsc, '--ignoreConfig', ...args], {
        cwd: folder,
      }).stdout.toString();
    };
    expect(compiled("{ name: 'found', momentum: 0.99, inputShape: [4, 4, 3] }")).toBe('');
    expect(compiled("{ momentum: 'much' }")).toContain(
      "'string' is not assignable to type 'number",
    );
  });

  test('has types that are right throughout, whatever the layer', () => {
    const flags =
      '--strict --noEmit --allowJs --checkJs --skipLibCheck --module nodenext --target es2022';
    const files = readdirSync(SOURCES).filter((file) => file.endsWith('.mjs'));
    expect(files.length).toBeGreaterThan(200);
    const args = [...flags.split(' '), ...files];
    const { stdout } = spawnSync(process.execPath, [tsc, '--ignoreConfig', ...args], {
      cwd: SOURCES,
    });
    expect(stdout.toString()).toBe('');
  });

  test('is formatted, whatever the layer', () => {
    const long = parseLayer(`tanh(${'sigmoid(x * v1 + v0) / rms[whc/g](x) - '.repeat(20)}x)`);
    const className = 'ANameOfALayerThatIsAsLongAsNamesOfClassesAre';
    for (const layout of LAYOUTS) {
      const file = join(SOURCES, `${className}_${layout}.mjs`);
      writeFileSync(file, tfjs(exportedOf(long, null), { className, layout }));
    }
    writeFileSync(
      join(folder, 'biome.json'),
      JSON.stringify({
        formatter: { indentStyle: 'space', indentWidth: 2, lineWidth: 100 },
        javascript: { formatter: { quoteStyle: 'single' } },
      }),
    );
    const biome = join(packageRoot(), 'node_modules/@biomejs/biome/bin/biome');
    const args = [biome, 'check', '--error-on-warnings', '--config-path=..', '.'];
    const { status, stdout, stderr } = spawnSync(process.execPath, args, {
      cwd: SOURCES,
      encoding: 'utf8',
    });
    expect(status, stderr).toBe(0);
    const [, count] = /Checked (\d+) files/.exec(stdout) ?? [];
    expect(Number(count)).toBeGreaterThan(written);
  });
});

const tsc = join(packageRoot(), 'node_modules/typescript/bin/tsc');
