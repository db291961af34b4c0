import { env, InferenceSession, Tensor } from 'onnxruntime-web';
import { describe, expect, test } from 'vitest';
import { movingOf } from '../../src/export/body.ts';
import { namedVectors, numbers, PARAMETERS } from '../../src/export/golden.ts';
import { onnx, onnxModel } from '../../src/export/onnx.ts';
import { decodeModel } from '../../src/export/onnx-proto.ts';
import { movingMoments } from '../../src/graph/adjoint.ts';
import { effectiveGroups, FULL, type LayerShape, sizeOf } from '../../src/graph/extent.ts';
import type { LayerGraph } from '../../src/graph/graph.ts';
import { inferLayer } from '../../src/graph/interpreter.ts';
import { parseLayer } from '../../src/graph/text.ts';
import { ZOO } from '../../src/graph/zoo.ts';
import { printed } from './onnx-text.ts';
import { exportedOf, SINGLE, type SingleCase, singleSubjects } from './vectors.ts';

const LAYOUTS = ['nchw', 'nhwc'] as const;
type Layout = (typeof LAYOUTS)[number];

const subjects = [...singleSubjects()];
const known = subjects.filter(({ kind }) => kind !== 'candidate');

const STYLE = { className: 'Layer', layout: 'nchw' } as const;

// The images are small, and other tests want the cores.
env.wasm.numThreads = 1;

const sessionOf = (model: Uint8Array): Promise<InferenceSession> =>
  InferenceSession.create(model, { executionProviders: ['wasm'], logSeverityLevel: 3 });

/** What the session makes of an image, in single precision. */
async function outputOf(session: InferenceSession, x: Float64Array, sizes: readonly number[]) {
  const { y } = await session.run({ x: new Tensor('float32', Float32Array.from(x), sizes) });
  expect(y!.dims).toEqual(sizes);
  return y!.data as Float32Array;
}

const sizesOf = ({ batch, height, width, channels }: LayerShape, layout: Layout): number[] =>
  layout === 'nchw' ? [batch, channels, height, width] : [batch, height, width, channels];

/** How far the model is off at inference, relative to the largest entry of y and to 1. */
async function offOf(layer: LayerGraph, { golden }: SingleCase, layout: Layout): Promise<number> {
  const moving = movingMoments(layer).map((node, slot) => movingOf(node, slot).name);
  const vectors = Object.fromEntries(
    namedVectors(golden, PARAMETERS, moving, layout).map(({ name, values }) => [name, values]),
  );
  const exported = { ...exportedOf(layer, null), groups: golden.groups };
  const model = await onnxModel(exported, { className: 'Layer', layout }, vectors);
  const session = await sessionOf(model);
  const actual = await outputOf(session, vectors['inference.x']!, sizesOf(golden.shape, layout));
  await session.release();
  return difference(actual, vectors['inference.y']!);
}

/** The greatest difference, relative to the largest expected entry and to 1. */
function difference(actual: Float32Array, expected: Float64Array): number {
  let off = 0;
  let scale = 1;
  for (const [i, value] of expected.entries()) {
    scale = Math.max(scale, Math.abs(value));
    off = Math.max(off, Math.abs(actual[i]! - value));
  }
  return off / scale;
}

describe('under ONNX Runtime, models compute what the interpreter does', () => {
  const candidates = subjects.filter(({ kind }) => kind === 'candidate');

  const checkAll = async ({ name, layer, cases }: (typeof subjects)[number]) => {
    for (const layout of LAYOUTS)
      for (const [i, single] of cases.entries()) {
        const off = await offOf(layer, single, layout);
        expect(off, `${name}, case ${i}, ${layout}`).toBeLessThan(single.tolerance);
      }
  };

  test.each(known.map((subject) => [subject.name, subject] as const))('%s', (_name, subject) =>
    checkAll(subject),
  );

  test('200 random candidates', async () => {
    expect(candidates).toHaveLength(200);
    for (const subject of candidates) await checkAll(subject);
    const rough = subjects.flatMap(({ name, cases }) =>
      cases.filter(({ tolerance }) => tolerance > SINGLE).map(() => name),
    );
    console.log(`Compared by more than ${SINGLE}: ${rough.join(', ') || 'none'}.`);
    expect(rough.length).toBeLessThan(5);
  });
});

test.each(known.map(({ name, layer }) => [name, layer] as const))(
  'the model of %s takes any image, with its defaults for every channel',
  async (_name, layer) => {
    const exported = { ...exportedOf(layer, null), groups: 4 };
    const session = await sessionOf(await onnx(exported, { className: 'Layer', layout: 'nhwc' }));
    for (const channels of [1, 3, 4, 6, 7, 16]) {
      const shape = { batch: 2, height: 1 + (channels % 3), width: 3, channels, groups: 1 };
      const next = numbers(channels);
      const x = Float64Array.from({ length: sizeOf(FULL, shape) }, () => Math.fround(2 * next()));
      const actual = await outputOf(session, x, sizesOf(shape, 'nhwc'));
      const groups = effectiveGroups(channels, exported.groups);
      const { y } = inferLayer(layer, { ...shape, groups }, { x, dy: new Float64Array(x.length) });
      expect(difference(actual, y), `${channels} channels`).toBeLessThan(SINGLE);
    }
    await session.release();
  },
);

describe('the model', () => {
  const textOf = async (formula: string, layout: Layout = 'nchw') =>
    printed(
      await decodeModel(
        await onnxModel(exportedOf(parseLayer(formula), null), { ...STYLE, layout }),
      ),
    );

  test('of EvoNorm-S0, whole', async () => {
    const scores = {
      protocol: 'p',
      mean: 0.5,
      perAnchor: [{ anchor: 'a', accuracy: 0.5 }],
      evaluations: 2,
    };
    const { layer } = ZOO.find(({ name }) => name === 'EvoNorm-S0')!;
    const bytes = await onnx({ ...exportedOf(layer, 'EvoNorm-S0'), scores }, STYLE);
    await expect(printed(await decodeModel(bytes))).toMatchFileSnapshot(
      'golden/evonorm_s0.onnx.txt',
    );
  });

  test('reads moving statistics', async () => {
    expect(await textOf('x / std[bwh](x)')).toMatchInlineSnapshot(`
      "# irVersion 8, producerName "evolayer", producerVersion "0.1.0", opsetImport [{"version":17}]
      # A layer.
      # y = gamma * (x / std[bwh](x)) + beta
      # id: 0123456789abcdef
      # formula: x / std[bwh](x)
      # id: 0123456789abcdef
      Layer(
        x: type 1 [N, C, H, W],
        gamma: type 1 [gamma_size] = 1,
        beta: type 1 [beta_size] = 0,
        moving_variance_0: type 1 [moving_variance_0_size] = 1,
      ) -> y: type 1 [N, C, H, W]
      per_channel[4] = 1 -1 1 1
      epsilon[] = 0.00001
      moving_variance_0_per_channel = Reshape(moving_variance_0, per_channel)
      std_bwh_squared = Add(moving_variance_0_per_channel, epsilon)
      std_bwh = Sqrt(std_bwh_squared)
      out = Div(x, std_bwh)
      gamma_per_channel = Reshape(gamma, per_channel)
      scaled = Mul(gamma_per_channel, out)
      beta_per_channel = Reshape(beta, per_channel)
      y = Add(scaled, beta_per_channel)"
    `);
  });

  test('guards what it divides by', async () => {
    expect(await textOf('x / v1', 'nhwc')).toMatchInlineSnapshot(`
      "# irVersion 8, producerName "evolayer", producerVersion "0.1.0", opsetImport [{"version":17}]
      # A layer.
      # y = gamma * (x / v1) + beta
      # id: 0123456789abcdef
      # formula: x / v1
      # id: 0123456789abcdef
      Layer(
        x: type 1 [N, H, W, C],
        v1: type 1 [v1_size] = 1,
        gamma: type 1 [gamma_size] = 1,
        beta: type 1 [beta_size] = 0,
      ) -> y: type 1 [N, H, W, C]
      per_channel[4] = 1 1 1 -1
      epsilon[] = 0.00001
      zero[1,1,1,1] = 0
      minus_epsilon[] = -0.00001
      v1_per_channel = Reshape(v1, per_channel)
      out_abs = Abs(v1_per_channel)
      out_small = Less(out_abs, epsilon)
      out_negative = Less(v1_per_channel, zero)
      out_edge = Where(out_negative, minus_epsilon, epsilon)
      out_guarded = Where(out_small, out_edge, v1_per_channel)  # The denominator, or epsilon with its sign (+ at 0) where it is smaller than epsilon.
      out = Div(x, out_guarded)
      gamma_per_channel = Reshape(gamma, per_channel)
      scaled = Mul(gamma_per_channel, out)
      beta_per_channel = Reshape(beta, per_channel)
      y = Add(scaled, beta_per_channel)"
    `);
  });

  test('says of a long formula how long it is', async () => {
    const exported = { ...exportedOf(parseLayer('x'), null), formula: 'x'.repeat(2001) };
    const { docString, metadataProps } = await decodeModel(await onnx(exported, STYLE));
    const omission = '(its formula has 2001 characters and is left out)';
    expect(docString).toContain(omission);
    expect(metadataProps).toContainEqual({ key: 'formula', value: omission });
  });
});
