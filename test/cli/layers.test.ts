import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { expect, test } from 'vitest';
import { z } from 'zod';
import { ANCHORS, anchorNamed } from '../../src/eval/anchors.ts';
import { compile } from '../../src/eval/native/compile.ts';
import { ZOO } from '../../src/graph/zoo.ts';
import { evolayer, inProcess, PROGRAM, TINY } from './process.ts';

const genome = z.strictObject({
  nodes: z.array(
    z.strictObject({
      op: z.string(),
      args: z.array(z.int().nonnegative()),
      index: z.string().optional(),
    }),
  ),
});
const key = z.string().regex(/^[0-9a-f]{40}$/);
const facts = z.strictObject({
  formula: z.string(),
  zooName: z.string().nullable(),
  structuralKey: key,
  functionalKey: key.nullable(),
  batchIndependent: z.boolean(),
  liveNodes: z.int(),
  genome,
  tree: z.array(z.string()).min(1),
  nodes: z.array(
    z.strictObject({
      ...{ id: z.int(), op: z.string(), args: z.array(z.int()), index: z.string().nullable() },
      ...{ extent: z.string(), uses: z.int().positive() },
    }),
  ),
  candidate: z.null(),
  scores: z.array(z.never()),
  evaluations: z.array(z.never()),
  lineage: z.array(z.never()),
});

const show = async (layer: string) =>
  facts.parse(JSON.parse((await inProcess(['show', layer, '--json'])).stdout));

test('show recognises EvoNorm-S0, however it is written', async () => {
  const { stdout } = await inProcess(['show', 'x * sigmoid(v1*x) / std[whc/g](x)']);
  expect(stdout).toMatch(/in the zoo +EvoNorm-S0/);
  for (const spelling of [
    'EVONORM-s0',
    'sigmoid(x*v1) / std[whc/g](x) * x',
    '-(-x * sigmoid(v1 * x)) / std[whc/g](x)',
  ])
    expect(await show(spelling), spelling).toMatchObject({
      zooName: 'EvoNorm-S0',
      batchIndependent: true,
      liveNodes: 7,
    });
});

test('show tells of a layer that cannot be used', async () => {
  expect(await show('x - x')).toMatchObject({ functionalKey: null, zooName: null });
  expect((await inProcess(['show', 'x - x'])).stdout).toMatch(/none: not finite, or constant/);
});

test('zoo lists all known layers with different keys', async () => {
  const { stdout } = await inProcess(['zoo', '--json']);
  const entry = z.strictObject({
    name: z.string(),
    formula: z.string(),
    doc: z.string(),
    structuralKey: key,
    functionalKey: key,
    batchIndependent: z.boolean(),
  });
  const zoo = z.array(entry).parse(JSON.parse(stdout));
  expect(zoo.map(({ name }) => name)).toEqual(ZOO.map(({ name }) => name));
  expect(new Set(zoo.map(({ functionalKey }) => functionalKey)).size).toBe(ZOO.length);
  expect((await inProcess(['zoo'])).stdout.split('\n')).toHaveLength(ZOO.length + 2);
});

const size = z.strictObject({
  anchor: z.string(),
  doc: z.string(),
  image: z.strictObject({ height: z.int(), width: z.int(), channels: z.int() }),
  classes: z.int(),
  batch: z.int(),
  slots: z.int(),
  parameters: z.int(),
  multiplyAdds: z.int(),
  memory: z.strictObject({ activations: z.int(), total: z.int() }),
});

const networks = async (...flags: string[]) =>
  z.array(size).parse(JSON.parse((await inProcess(['networks', '--json', ...flags])).stdout));

test('networks lists every anchor with its size', async () => {
  const listed = await networks();
  expect(listed.map(({ anchor }) => anchor)).toEqual([...ANCHORS.keys()]);
  for (const { anchor, image, classes, memory, parameters } of listed) {
    expect(image).toEqual({ height: 14, width: 14, channels: 1 });
    expect(memory.total - memory.activations).toBe(3 * 4 * parameters);
    const network = anchorNamed(anchor).network(image, classes);
    const { layer } = ZOO.find(({ name }) => name === 'EvoNorm-B0')!;
    const setup = { batch: 32, groups: 8, momentum: 0.9, weightDecay: 0, movingDecay: 0.9 };
    const used = 4 * compile(network, layer, setup, 16).floats;
    expect(memory.total).toBeLessThanOrEqual(used);
    expect(memory.total).toBeGreaterThan(used - 100_000);
  }
  const { stdout, stderr } = await inProcess(['networks']);
  expect(stdout.split('\n')).toHaveLength(ANCHORS.size + 2);
  expect(stderr).toMatch(/one 14×14×1 image.*a step on 32/);
});

test('networks grow with the image and the batch; flags choose among them', async () => {
  const [small] = await networks('--anchor', 'mini-mobile');
  const [large] = await networks('--anchor', 'mini-mobile', '--pool', '1', '--batch', '64');
  expect(large).toMatchObject({ anchor: 'mini-mobile', batch: 64, parameters: small!.parameters });
  expect(large!.multiplyAdds).toBeGreaterThan(3 * small!.multiplyAdds);
  // Eight times the pixels, but the zeros around them grow with the sides alone.
  const growth = large!.memory.activations / small!.memory.activations;
  expect(growth).toBeGreaterThan(4);
  expect(growth).toBeLessThan(8);
});

const evaluation = z.strictObject({
  formula: z.string(),
  protocol: z.string(),
  outcome: z.string(),
  perAnchor: z.array(
    z.strictObject({
      anchor: z.string(),
      accuracy: z.number(),
      loss: z.number(),
      steps: z.int(),
      seconds: z.number(),
      curve: z.array(z.number()),
    }),
  ),
  rejection: z.record(z.string(), z.unknown()).optional(),
});

test('evaluate scores a layer, with progress on standard error', async () => {
  const args = ['evaluate', 'EvoNorm-B0', ...TINY, '--seed', '3', '--json'];
  const [first, second] = [await evolayer(args), await inProcess(args)];
  const scored = evaluation.parse(JSON.parse(first.stdout));
  expect(scored).toMatchObject({
    outcome: 'evaluated',
    perAnchor: [{ anchor: 'mini-wide', steps: 2 }],
  });
  expect(scored.perAnchor[0]!.curve).toHaveLength(2);
  expect(first.stderr).toMatch(/mini-wide: step 2 of 2/);
  const again = evaluation.parse(JSON.parse(second.stdout));
  expect(again.perAnchor[0]!.loss).toBe(scored.perAnchor[0]!.loss);
});

test('evaluate names the rejection of a layer, with its numbers', async () => {
  const constant = await inProcess(['evaluate', 'v1', ...TINY, '--json']);
  const failed = await inProcess(['evaluate', 'SiLU', ...TINY, '--min-accuracy', '1', '--json']);
  expect(evaluation.parse(JSON.parse(constant.stdout))).toMatchObject({
    outcome: 'constant',
    perAnchor: [],
  });
  expect(evaluation.parse(JSON.parse(failed.stdout))).toMatchObject({
    outcome: 'low-quality',
    rejection: { anchor: 'mini-wide', minAccuracy: 1 },
  });
});

test('a reader that closes the pipe is no error', async () => {
  const child = spawn(process.execPath, [PROGRAM, 'zoo'], { stdio: ['ignore', 'pipe', 'pipe'] });
  child.stdout.destroy();
  let stderr = '';
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    stderr += text;
  });
  await once(child, 'close');
  expect(stderr).toBe('');
});

test('nothing is coloured where nothing is a terminal, whatever CI says', async () => {
  const { stdout } = await evolayer(['zoo'], { env: { CI: 'true' } });
  expect(stdout).not.toContain('\u001b');
});
