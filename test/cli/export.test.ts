import { spawnSync } from 'node:child_process';
import { chmodSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { extname, join } from 'node:path';
import { afterEach, describe, expect, test, vi } from 'vitest';
import { z } from 'zod';
import { openStore } from '../../db/store.ts';
import { TARGETS, type TargetName } from '../../src/export/targets.ts';
import { fileNameOf } from '../../src/export/write.ts';
import { runSearch } from '../../src/search/run.ts';
import { configOf, FakePool } from '../search/fake.ts';
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

describe('export --to', () => {
  const to = (...args: string[]) => inProcess(['export', 'EvoNorm-B0', '--to', ...args]);

  test('orders axes as the framework does, unless --layout says otherwise', async () => {
    await folderWith('DyT');
    const first = 'Input and output: (N, C, H, W), or (N, C, L).';
    const last = 'Input and output: (N, H, W, C), or (N, L, C).';
    for (const [name, own, other] of [
      ['pytorch', first, last],
      ...['keras', 'flax', 'tfjs'].map((name) => [name, last, first] as const),
    ] as const) {
      expect((await to(name)).stdout).toContain(own);
      const layout = own === first ? 'nhwc' : 'nchw';
      expect((await to(name, '--layout', layout)).stdout).toContain(other);
    }
  });

  test.each([
    [['pytorhc'], /^error: --to is "pytorhc"; it must be one of .*\. Did you mean pytorch\?\n$/],
    [['keras', '--layout', 'nhw'], /--layout is "nhw"; .* Did you mean nchw\?\n$/],
    [['flax', '--name', 'torch'], /^error: "torch" cannot be the name of a class, [^.]*\.\n$/],
    [['flax', '--name', 'a b'], /^error: "a b" cannot be the name of a class; take [^.]*\.\n$/],
  ])('%j is refused', async (args, says) => {
    const { code, stdout, stderr } = await to(...args);
    expect({ code, stdout }).toEqual({ code: 2, stdout: '' });
    expect(stderr).toMatch(says);
  });

  test('says that the folder of the file is missing', async () => {
    const { folder } = await folderWith('DyT');
    const { code, stderr } = await to('pytorch', '-o', join(folder, 'absent', 'x.py'));
    expect(code).toBe(1);
    expect(stderr).toBe(
      `error: ${join(folder, 'absent', 'x.py')} cannot be written: there is no folder ${join(folder, 'absent')}.\n`,
    );
  });
});

describe('a layer that a run found', () => {
  test('says in every file where, with its scores and their protocol, and keeps that', async () => {
    const { folder, db, id, fitness, protocol } = await foundLayer();
    const place = `run 1, proposal ${id.split('-')[1]} (${id})`;
    const score = `validation accuracy: ${fitness.toFixed(4)} (protocol ${protocol}, 1 evaluation)`;
    for (const name of NAMES.filter((name) => name !== 'json')) {
      const file = join(folder, name);
      const ended = await inProcess(['export', id, '--db', db, '--to', name, '-o', file]);
      expect(ended).toMatchObject({ code: 0 });
      const text = readFileSync(file, 'latin1');
      expect(text).toContain(`found: ${place}`);
      expect(text).toContain(score);
    }
    const file = join(folder, 'layer.json');
    await inProcess(['export', id, '--db', db, '--to', 'json', '-o', file]);
    const elsewhere = join(folder, 'absent.db');
    const again = await inProcess(['export', file, '--db', elsewhere, '--to', 'json']);
    expect(again.stdout).toBe(readFileSync(file, 'utf8'));
    expect(JSON.parse(again.stdout)).toMatchObject({ found: id, scores: { mean: fitness } });
  });
});

/** A database with a run, and a proposal of it that was evaluated. */
async function foundLayer() {
  const folder = temporaryFolder();
  const db = join(folder, 'x.db');
  const store = openStore(db);
  await runSearch({
    config: configOf({ seed: 7, stop: { proposals: 60 } }),
    ...{ store, pool: new FakePool(1) },
  });
  const index = Array.from({ length: 60 }, (_, i) => i).find(
    (i) => store.candidates.at(1, i)?.outcome.outcome === 'evaluated',
  )!;
  const { outcome } = store.candidates.at(1, index)!;
  const protocol = store.protocols.ofRun(1)!;
  store.close();
  if (outcome.outcome !== 'evaluated') throw new Error('no proposal was evaluated');
  const sum = outcome.perAnchor.reduce((total, { accuracy }) => total + accuracy, 0);
  return { folder, db, protocol, id: `r1-${index}`, fitness: sum / outcome.perAnchor.length };
}

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
    [
      'another place',
      { found: 'on a shelf' },
      /found is "on a shelf"; it must be the id of a proposal, such as "r1-42"\.$/,
    ],
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
