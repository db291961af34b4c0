import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import * as z from 'zod';
import { evolayer, inProcess, temporaryFolder } from './process.ts';
import { tagsOf } from './study/xml.ts';

const SMALL = ['--depth', '4', '--width', '2', '--images', '2'];

const number = z.number().nullable();
const channels = z.strictObject({ squaredMean: number, variance: number });
const moments = { mean: number, deviation: number };
const response = {
  input: z.strictObject(moments),
  output: z.strictObject({
    ...moments,
    quantiles: z.array(z.number()).max(7),
    zeros: z.number(),
    notFinite: z.number(),
    histogram: z.strictObject({
      ...{ from: z.number(), to: z.number(), below: z.int(), above: z.int() },
      counts: z.array(z.int()),
    }),
  }),
};
const inspection = z.strictObject({
  settings: z.strictObject({
    ...{ depth: z.int(), width: z.int(), images: z.int(), seed: z.int(), groups: z.int() },
  }),
  layers: z.array(
    z.strictObject({
      layer: z.string(),
      formula: z.string(),
      functionalKey: z.string().nullable(),
      isReference: z.boolean(),
      blocks: z.array(
        z.strictObject({
          ...{ block: z.int(), stage: z.int(), gradient: number },
          ...{ stream: channels, branch: channels, output: channels },
        }),
      ),
      overflow: z.strictObject({ forward: z.int().nullable(), backward: z.int().nullable() }),
      normal: z.strictObject(response),
      network: z.strictObject({ block: z.int(), ...response }),
      jacobian: z.strictObject({
        ...{ size: z.int(), diagonal: z.strictObject(moments), gain: number, flat: number },
        singularValues: z.array(z.number()),
      }),
    }),
  ),
});

const inspected = async (...args: string[]) => {
  const { code, stdout } = await inProcess(['inspect', ...args, '--json']);
  expect(code).toBe(0);
  return inspection.parse(JSON.parse(stdout));
};

describe('inspect --json', () => {
  test('has the layers that are asked for, and BN-ReLU behind them', async () => {
    const { layers, settings } = await inspected('evonorm-s0', 'tanh(x)', ...SMALL, '--seed', '7');
    expect(settings).toEqual({ depth: 4, width: 2, images: 2, seed: 7, groups: 8 });
    expect(layers.map(({ layer }) => layer)).toEqual(['EvoNorm-S0', 'tanh(x)', 'BN-ReLU']);
    expect(layers.map(({ isReference }) => isReference)).toEqual([false, false, true]);
    for (const { blocks } of layers) expect(blocks).toHaveLength(4);
  });

  test('has BN-ReLU once, unless another graph computes the same', async () => {
    const same = 'max(0, v0 + v1 * (x - mean[bwh](x)) / std[bwh](x))';
    const { layers } = await inspected(same, 'DyT', ...SMALL);
    expect(layers.map(({ layer }) => layer)).toEqual(['BN-ReLU', 'DyT']);
    const silu = await inspected('x * exp(x) / (exp(x) + 1)', 'SiLU', ...SMALL);
    const [first, second] = silu.layers;
    expect(first!.functionalKey).toBe(second!.functionalKey);
    expect(first!.layer).not.toBe('SiLU');
    expect(silu.layers.map(({ layer }) => layer).slice(1)).toEqual(['SiLU', 'BN-ReLU']);
  });

  test('says null where nothing is finite', async () => {
    const { layers } = await inspected('x * x', ...SMALL, '--depth', '12');
    expect(layers[0]!.blocks.at(-1)!.stream.variance).toBeNull();
    expect(layers[0]!.overflow.forward).toBeGreaterThan(1);
    expect(layers[0]!.network.output.notFinite).toBeGreaterThan(0);
  });
});

describe('inspect', () => {
  test('sketches, and says where a layer leaves single precision', async () => {
    const { code, stdout } = await inProcess([
      'inspect',
      'x * x',
      'ReLU',
      ...SMALL,
      '--depth',
      '12',
    ]);
    expect(code).toBe(0);
    const lines = stdout.split('\n');
    const sketches = lines.filter((line) => /^(square\(x\)|ReLU|BN-ReLU) +[▁-█×]{12} /.test(line));
    expect(sketches).toHaveLength(15);
    expect(stdout).toMatch(
      /^square\(x\): values leave the range of single precision in block [1-9]\.$/m,
    );
    expect(
      lines.filter((line) => /^BN-ReLU +(normal|block 7) +0\.\d+ +0\.\d+/.test(line)),
    ).toHaveLength(2);
  });

  test('draws a figure with a line of every layer in every panel, the same every time', async () => {
    const folder = temporaryFolder();
    const draw = async (name: string) => {
      const file = join(folder, name);
      const { code, stderr } = await inProcess([
        'inspect',
        'DyT',
        'x * x',
        ...SMALL,
        '--svg',
        file,
      ]);
      expect({ code, stderr }).toEqual({ code: 0, stderr: `Wrote ${file}.\n` });
      return readFileSync(file, 'utf8');
    };
    const svg = await draw('a.svg');
    const tags = tagsOf(svg);
    for (const layer of [0, 1, 2])
      expect(tags.filter((tag) => tag.includes(` line-layer-${layer}"`))).toHaveLength(8);
    for (const text of ['DyT', 'BN-ReLU', 'singular value', 'Gradient of the stream'])
      expect(svg).toContain(text);
    expect(await draw('b.svg')).toBe(svg);
  });

  test('needs no engine', async () => {
    // With such a name whatever loads the native engine fails.
    const env = { EVOLAYER_NATIVE_VARIANT: 'none' };
    expect((await evolayer(['evaluate', 'DyT'], { env })).code).toBe(2);
    const { code, stdout, stderr } = await evolayer(['inspect', 'DyT', ...SMALL], { env });
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
    expect(stdout).toMatch(/^signals in a residual network of 4 blocks/);
  });

  test('says so where the figure cannot be written', async () => {
    const ended = await inProcess(['inspect', 'DyT', ...SMALL, '--svg', '/nowhere/at/all.svg']);
    expect(ended).toMatchObject({ code: 1, stdout: '' });
    expect(ended.stderr).toMatch(/^error: \/nowhere\/at\/all\.svg cannot be written: /);
  });
});
