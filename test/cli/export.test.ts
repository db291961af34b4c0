import { spawnSync } from 'node:child_process';
import { chmodSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { extname, join } from 'node:path';
import { afterEach, describe, expect, test, vi } from 'vitest';
import { z } from 'zod';
import { fileNameOf } from '../../src/cli/commands/export.ts';
import { TARGETS, type TargetName } from '../../src/export/targets.ts';
import { inProcess, temporaryFolder } from './process.ts';

const NAMES = Object.keys(TARGETS) as TargetName[];

afterEach(() => {
  vi.unstubAllEnvs();
  process.exitCode = 0;
});

/** A folder with a layer's file in it, and no database near. */
async function folderWith(formula: string) {
  const folder = temporaryFolder();
  vi.stubEnv('EVOLAYER_DB', join(folder, 'absent.db'));
  const file = join(folder, 'layer.json');
  expect(await inProcess(['export', formula, '--to', 'json', '-o', file])).toMatchObject({
    code: 0,
  });
  return { folder, file };
}

/** A program that stands for Python: it ends `ends` after the self-test, and lacks the modules named. */
function standIn(folder: string, { ends = 0, lacks = '' }): string {
  const program = join(folder, 'python');
  const script = [
    '#!/bin/sh',
    `if [ "$1" = -c ]; then echo "${lacks}"; exit 0; fi`,
    'echo ran "$@"',
    `exit ${ends}`,
  ];
  writeFileSync(program, `${script.join('\n')}\n`);
  chmodSync(program, 0o755);
  return program;
}

describe('export --all-formats', () => {
  test('writes every target, each to a file of its own', async () => {
    const { folder } = await folderWith('DyT');
    const all = join(folder, 'new', 'all');
    const { code, stderr, stdout } = await inProcess([
      'export',
      'DyT',
      '--all-formats',
      all,
      '--name',
      'Mine',
    ]);
    expect({ code, stdout }).toEqual({ code: 0, stdout: '' });
    const files = readdirSync(all);
    expect(files.sort()).toEqual(NAMES.map((name) => fileNameOf(name, 'Mine')).sort());
    expect(files).toHaveLength(NAMES.length);
    for (const name of NAMES) {
      const file = fileNameOf(name, 'Mine');
      expect(extname(file)).toBe(TARGETS[name].extension);
      expect(file).toMatch(/^Mine(_\w+)?\.\w+$/);
      expect(stderr).toContain(`Wrote ${join(all, file)}.\n`);
      const alone = join(folder, file);
      await inProcess(['export', 'DyT', '--to', name, '-o', alone, '--name', 'Mine']);
      expect(readFileSync(join(all, file))).toEqual(readFileSync(alone));
    }
  });

  test('leaves out what cannot be written, and says why', async () => {
    const { folder } = await folderWith('DyT');
    const deep = Array.from({ length: 110 }).reduce<string>((a) => `tanh(x + ${a})`, 'x');
    const all = join(folder, 'all');
    const { code, stderr } = await inProcess(['export', deep, '--all-formats', all]);
    expect(code).toBe(0);
    expect(stderr).toContain('Left out svg: An svg has at most 200 nodes, and this layer 221;');
    expect(readdirSync(all)).toHaveLength(NAMES.length - 1);
    const alone = await inProcess(['export', deep, '--to', 'svg']);
    expect(alone).toMatchObject({ code: 1, stdout: '' });
  });

  test('says what is wrong with the folder', async () => {
    const { file } = await folderWith('DyT');
    const ended = await inProcess(['export', 'DyT', '--all-formats', join(file, 'in')]);
    expect(ended).toMatchObject({ code: 1, stdout: '' });
    expect(ended.stderr).toMatch(/in cannot be made: a part of the path is no folder\.\n$/);
  });
});

describe('export --check', () => {
  const check = async (options: Parameters<typeof standIn>[1]) => {
    const { folder } = await folderWith('DyT');
    vi.stubEnv('EVOLAYER_PYTHON', standIn(folder, options));
    const file = join(folder, 'dyt.py');
    return {
      file,
      ...(await inProcess(['export', 'DyT', '--to', 'pytorch', '-o', file, '--check'])),
    };
  };

  test('says that a file passed', async () => {
    expect(await check({})).toMatchObject({ code: 0, stdout: 'pytorch: passed\n' });
  });

  test('says that a file failed, with what it printed', async () => {
    const { file, ...ended } = await check({ ends: 3 });
    expect(ended).toMatchObject({ code: 1, stdout: 'pytorch: failed\n' });
    expect(ended.stderr).toBe(`Wrote ${file}.\nran ${file}\n`);
  });

  test('leaves out what lacks a module, and says which', async () => {
    const { code, stdout } = await check({ lacks: 'torch' });
    expect(code).toBe(0);
    expect(stdout).toMatch(/^pytorch: left out, for .*python lacks torch\n$/);
  });

  test('leaves out what has no runtime at all', async () => {
    const { folder } = await folderWith('DyT');
    vi.stubEnv('EVOLAYER_PYTHON', join(folder, 'absent'));
    const all = join(folder, 'all');
    const { code, stdout } = await inProcess(['export', 'DyT', '--all-formats', all, '--check']);
    expect(code).toBe(0);
    expect(stdout).toMatch(/^pytorch: left out, for .*absent does not run$/m);
  });

  test('is not misled by a file that has the name of a module', async () => {
    const { folder } = await folderWith('DyT');
    const beside = join(folder, 'beside');
    mkdirSync(beside);
    writeFileSync(join(beside, 'random.py'), 'raise SystemExit("taken for a module")');
    const python = spawnSync('python3', ['-c', 'import sys; sys.exit(sys.version_info < (3, 11))']);
    if (python.status !== 0) return;
    const { runSelfTest } = await import('../../src/cli/self-tests.ts');
    const file = join(beside, 'layer.py');
    writeFileSync(file, 'import random');
    vi.stubEnv('EVOLAYER_PYTHON', 'python3');
    expect(await runSelfTest(file, { runtime: 'python', modules: [] })).toEqual({
      verdict: 'passed',
    });
  });
});

const content = z.strictObject({
  ...{ formula: z.string(), zooName: z.string().nullable(), structuralKey: z.string() },
  ...{ functionalKey: z.string().nullable(), batchIndependent: z.boolean(), liveNodes: z.int() },
  ...{
    genome: z.object({ nodes: z.array(z.unknown()) }),
    groups: z.int(),
    movingDecay: z.number(),
  },
  ...{ scores: z.object({ mean: z.number() }).loose().nullable(), faithful: z.boolean() },
});

describe('the file of a layer', () => {
  const FORMULA = 'x * tanh(v1 + mean[whc/g](x)) - max(v0, rms[bwh](x))';

  test('comes out as it went in, scores included', async () => {
    const { file } = await folderWith(FORMULA);
    const scores = {
      protocol: 'p',
      mean: 0.75,
      perAnchor: [{ anchor: 'a', accuracy: 0.75 }],
      evaluations: 3,
    };
    const text = `${JSON.stringify({ ...JSON.parse(readFileSync(file, 'utf8')), groups: 8, movingDecay: 0.5, scores }, null, 2)}\n`;
    writeFileSync(file, text);
    expect((await inProcess(['export', file, '--to', 'json'])).stdout).toBe(text);
    const read = content.parse(JSON.parse((await inProcess(['import', file, '--json'])).stdout));
    expect(read).toMatchObject({ groups: 8, movingDecay: 0.5, scores, faithful: true });
  });

  test('is a layer of every command', async () => {
    const { file } = await folderWith(FORMULA);
    const show = async (layer: string) => {
      const { stdout, code } = await inProcess(['show', layer, '--json']);
      expect(code).toBe(0);
      return JSON.parse(stdout);
    };
    expect(await show(file)).toEqual(await show(FORMULA));
    const compared = await inProcess(['compare', FORMULA, file, '--json']);
    expect(JSON.parse(compared.stdout).pairs).toMatchObject([
      { sameFunction: true, sameGraph: true },
    ]);
  });

  test('is told of by import', async () => {
    const { file } = await folderWith('EvoNorm-S0');
    const { code, stdout, stderr } = await inProcess(['import', file]);
    expect(code).toBe(0);
    expect(stdout).toMatch(/^formula +x \* sigmoid\(v1 \* x\) \/ std\[whc\/g\]\(x\)$/m);
    expect(stdout).toMatch(/^in the zoo +EvoNorm-S0$/m);
    expect(stderr).toBe(`A LAYER of every command: evolayer evaluate ${file}\n`);
  });

  test('that was changed keeps no scores', async () => {
    const { file } = await folderWith('DyT');
    const scores = { protocol: 'p', mean: 0.75, perAnchor: [], evaluations: 3 };
    const other = {
      ...JSON.parse(readFileSync(file, 'utf8')),
      genome: { nodes: [{ op: 'sigmoid', args: [0] }] },
      scores,
    };
    writeFileSync(file, JSON.stringify(other));
    const { stdout, stderr } = await inProcess(['import', file, '--json']);
    expect(content.parse(JSON.parse(stdout))).toMatchObject({
      formula: 'sigmoid(x)',
      scores: null,
      faithful: false,
    });
    expect(stderr).toBe('');
    expect((await inProcess(['import', file])).stderr).toMatch(/^The file was changed/);
    const exported = JSON.parse((await inProcess(['export', file, '--to', 'json'])).stdout);
    expect(exported).toMatchObject({ formula: 'sigmoid(x)', scores: null });
  });

  /** Changes to a good file, or a whole text, and what is said of it. */
  const HOSTILE: readonly (readonly [name: string, change: object | string, says: RegExp])[] = [
    [
      'a newer version',
      { version: 2 },
      /is of version 2 of the format, and this evolayer reads up to 1; update it\.$/,
    ],
    ['another format', { format: 'onnx' }, /holds no layer; .* "format": "evolayer-layer"/],
    ['a version that is none', { version: '1' }, /holds no layer/],
    ['no object', '[1]', /holds no layer/],
    ['no JSON', '{"format', /is no JSON: /],
    ['escapes of a terminal', '{"\u001b[2J', /is no JSON: \P{C}*$/u],
    [
      'an unknown key',
      { weights: [] },
      /weights is \[\]; it must be left out; the keys are format, /,
    ],
    [
      'a prototype',
      '{"format":"evolayer-layer","version":1,"__proto__":{"genome":1}}',
      /layer\.json: __proto__ is \{"genome":1\}; it must be left out; the keys are format, /,
    ],
    ['another epsilon', { epsilon: 0.1 }, /epsilon is 0\.1; it must be 0\.00001\.$/],
    ['no groups', { groups: 0 }, /groups is 0; it must be a whole number from 1 to 1024\.$/],
    [
      'a long name',
      { name: 'x'.repeat(1e6) },
      /name is "x+…; it must be text of at most 200 characters\.$/,
    ],
    [
      'scores that are none',
      { scores: { mean: 2 } },
      /scores\.protocol is missing; it must be text/,
    ],
    [
      'a forward reference',
      genomeOf({ op: 'neg', args: [5] }, { op: 'exp', args: [4] }),
      /layer\.json: genome\.nodes\[0\]\.args\[0\] is 5; it must be the number of an earlier node, 0 to 3/,
    ],
    ['a node of itself', genomeOf({ op: 'neg', args: [4] }), /genome\.nodes\[0\]\.args\[0\] is 4;/],
    [
      'a wrong arity',
      genomeOf({ op: 'mul', args: [0] }),
      /genome\.nodes\[0\]\.args has 1; it must have 2 nodes/,
    ],
    [
      'a number in quotes',
      genomeOf({ op: 'neg', args: ['0'] }),
      /genome\.nodes\[0\]\.args\[0\] is "0";/,
    ],
    [
      'an unknown op',
      genomeOf({ op: 'eval', args: [0] }),
      /genome\.nodes\[0\]\.op is "eval"; it must be one of add, /,
    ],
    [
      'an unknown index set',
      genomeOf({ op: 'std', args: [0], index: 'hwc' }),
      /genome\.nodes\[0\]\.index is "hwc"/,
    ],
    [
      'a million nodes',
      { genome: { nodes: Array(1_000_000).fill(0) } },
      /layer\.json: genome\.nodes has 1000000 entries; it must have 1 to 1000\.$/,
    ],
    [
      'a large file',
      ' '.repeat(4_000_001),
      /has 4000001 bytes; the file of a layer has 4000000 at most\.$/,
    ],
    [
      'deep nesting',
      `{"format":"evolayer-layer","version":1,"name":${'['.repeat(1e6)}${']'.repeat(1e6)}}`,
      /is nested deeper than 16 levels\.$/,
    ],
  ];

  test.each(HOSTILE)('with %s is refused with the place', async (_name, change, says) => {
    const { file } = await folderWith('DyT');
    const good = JSON.parse(readFileSync(file, 'utf8'));
    writeFileSync(
      file,
      typeof change === 'string' ? change : JSON.stringify({ ...good, ...change }),
    );
    for (const command of ['import', 'show']) {
      const { code, stdout, stderr } = await inProcess([command, file]);
      expect({ code, stdout }).toEqual({ code: 2, stdout: '' });
      expect(stderr.trimEnd()).toMatch(says);
      expect(stderr.length).toBeLessThan(600);
    }
  });

  test.each([
    ['./absent.json', /cannot be read: there is no such file/],
    ['/', /cannot be read: it is no file/],
    ['/dev/zero', /cannot be read: it is no file/],
  ])('%s is refused', async (path, says) => {
    const { code, stderr } = await inProcess(['show', path]);
    expect(code).toBe(1);
    expect(stderr).toMatch(says);
  });
});

function genomeOf(...nodes: object[]) {
  return { genome: { nodes } };
}
