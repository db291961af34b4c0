import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { openStore } from '../../db/store.ts';
import { nativeEngine } from '../../src/eval/native/engine.ts';
import { resolveProtocol } from '../../src/eval/presets.ts';
import { protocolKey } from '../../src/eval/protocol.ts';
import { genomeOf } from '../../src/graph/genome.ts';
import { probe } from '../../src/graph/keys.ts';
import { parseLayer } from '../../src/graph/text.ts';
import { ZOO } from '../../src/graph/zoo.ts';
import { evaluated, settled, TIME } from '../db/records.ts';
import { evolayer, inProcess, start, temporaryFolder } from './process.ts';

const PROTOCOL = resolveProtocol(
  'quick',
  {
    dataset: { pool: 7, validation: 20 },
    ...{ anchors: ['mini-wide'], batch: 4, steps: 2, augmentation: { pad: 0 } },
    quality: { steps: 1, images: 10, minAccuracy: 0 },
  },
  nativeEngine().numerics,
);
const KEY = protocolKey(PROTOCOL);
const FOUND = ['x / std[wh](x)', 'max(x, v0 - x)', 'x * sigmoid(x) * v1'].map(parseLayer);
const KEYS = FOUND.map((layer) => {
  const probed = probe(layer);
  if (probed.verdict !== 'ok') throw new Error('no layer');
  return probed.functionalKey;
});

/** A run that scored three layers of its own, and one that is known. */
function found(folder = temporaryFolder()): string {
  const path = join(folder, 'x.db');
  const store = openStore(path);
  const run = store.begin({ started: TIME.at, config: {}, protocolKey: KEY, protocol: PROTOCOL });
  const known = ZOO.find(({ name }) => name === 'DyT')!;
  const layers = [...FOUND, known.layer];
  const keys = [...KEYS, known.functionalKey];
  store.commit(
    run,
    layers.map((layer, i) =>
      settled(i, {
        ...{ genome: genomeOf(layer), functionalKey: keys[i]! },
        outcome: evaluated(0.5 + i / 10),
      }),
    ),
    TIME,
  );
  store.close();
  return path;
}

const QUICK = ['--seeds', '3', '--steps', '3', '--baseline', 'DyT,relu', '--workers', '2'];

afterEach(() => {
  process.exitCode = 0;
});

describe('confirm', () => {
  let folder: string;
  let db: string;
  let report: {
    layers: { title: string; isKnown: boolean; confirmed: boolean }[];
    cells: object[];
  };

  beforeAll(async () => {
    folder = mkdtempSync(join(tmpdir(), 'evolayer-'));
    db = found(folder);
    const { code, stdout } = await evolayer([
      'confirm',
      '--db',
      db,
      ...QUICK,
      '--top',
      '2',
      '--json',
    ]);
    expect(code).toBe(0);
    report = JSON.parse(stdout);
  });

  afterAll(() => rmSync(folder, { recursive: true }));

  test('trains the best layers and known ones on images and a network that the search did not use', () => {
    expect(report.layers.map(({ title }) => title).sort()).toEqual(['DyT', 'ReLU', 'r1-1', 'r1-2']);
    expect(report.cells).toEqual([
      {
        dataset: 'fashion-mnist',
        anchor: 'mini-wide',
        seen: true,
        fold: 1,
        steps: 3,
        protocol: expect.any(String),
      },
      {
        dataset: 'fashion-mnist',
        anchor: 'mini-mobile',
        seen: false,
        fold: 1,
        steps: 3,
        protocol: expect.any(String),
      },
    ]);
    const store = openStore(db, { readonly: true });
    expect(
      store.trials
        .ofRun(1)
        .map(({ functionalKey }) => functionalKey)
        .sort(),
    ).toEqual(KEYS.slice(1).sort());
    store.close();
  });

  test('makes no training twice, and says the same again', async () => {
    const again = await inProcess(['confirm', '1', '--db', db, ...QUICK, '--top', '2', '--json']);
    expect(again.code).toBe(0);
    expect(JSON.parse(again.stdout)).toEqual(report);
    expect(again.stderr).toContain('0 of 24 trainings are to be made');
    const more = await inProcess(['confirm', '--db', db, ...QUICK, '--top', '1', '--keep', '1']);
    expect(more.stderr).toContain('0 of 18 trainings are to be made');
    expect(more.stderr).toMatch(/\d of 1 are confirmed: .* \(Holm\)/);
    expect(more.stdout).toMatch(/kept/);
    expect(more.stdout).toMatch(/r1-2 .*(not )?confirmed: /);
  });

  test('leaves the search as it was, and can be pruned with it', async () => {
    const check = await inProcess(['runs', '--check', '--db', db]);
    expect(check.stdout).toContain('the file is sound');
    const board = await inProcess(['leaderboard', '--db', db, '--json']);
    for (const { evaluations, confirmed } of JSON.parse(board.stdout)) {
      expect(evaluations).toBe(1);
      expect(confirmed).toBe(false);
    }
    const copy = join(temporaryFolder(), 'one.db');
    await inProcess(['export-run', '1', '-o', copy, '--db', db]);
    const copied = await inProcess(['confirm', '--db', copy, ...QUICK, '--top', '2', '--json']);
    expect(JSON.parse(copied.stdout)).toEqual(report);
    expect(await inProcess(['prune', '--run', '1', '--yes', '--db', copy])).toMatchObject({
      code: 0,
    });
    const store = openStore(copy, { readonly: true });
    expect(store.trials.ofRun(1)).toEqual([]);
    expect(store.runs.protocols()).toEqual([]);
    store.close();
  });

  test('marks what it confirmed on the leaderboard', async () => {
    const marked = found();
    const store = openStore(marked);
    const verdict = { functionalKey: KEYS[1]!, confirmed: true, verdict: {} };
    store.saveConfirmations(1, [verdict], TIME.at);
    store.close();
    const { stdout } = await inProcess(['leaderboard', '--db', marked]);
    expect(stdout).toMatch(/ confirmed /);
    expect(stdout).toMatch(/r1-1 .* yes /);
    const { stdout: csv } = await inProcess(['leaderboard', '--db', marked, '--csv']);
    expect(csv.split('\n').filter((line) => /,yes,[0-9a-f]{16},/.test(line))).toHaveLength(1);
  });

  test('--dry-run tells what it would train and costs nothing', async () => {
    const plan = await inProcess(['confirm', '--db', found(), ...QUICK, '--dry-run']);
    expect(plan.code).toBe(0);
    expect(plan.stdout).toContain('mini-mobile on fashion-mnist, 3 steps: not seen by the search');
    expect(plan.stdout).toMatch(/30 trainings \(3 seeds\) take about /);
  });

  test('goes on after it was killed, to what it would have said', async () => {
    const killed = found();
    const args = ['confirm', '--db', killed, ...QUICK, '--top', '2', '--json'];
    const first = start(args);
    await first.says(' of 24 trainings, ');
    first.process.kill('SIGKILL');
    await first.ended;
    const { code, stdout } = await evolayer(args);
    expect(code).toBe(0);
    expect(JSON.parse(stdout)).toEqual(report);
  });

  test('saves what was trained where Ctrl-C ends it', async () => {
    const args = ['confirm', '--db', found(), ...QUICK, '--top', '2', '--seeds', '500'];
    const first = start(args);
    await first.says(' trainings, ');
    first.process.kill('SIGINT');
    const { code, stderr } = await first.ended;
    expect(code).toBe(130);
    expect(stderr).toContain('To go on: evolayer confirm');
  });
});

test.each([
  [['--seeds', '1'], /--seeds is 1; it must be at least 2/, 2],
  [['7'], /There is no run 7 in /, 2],
  [['--baseline', 'BN-RELUU'], /no layer "BN-RELUU" in the zoo, .* Did you mean/, 2],
  [['--anchor', 'mini'], /anchors/, 2],
  [['--dataset', 'imagenet'], /imagenet/, 2],
  [['--fold', '9'], /dataset.fold is 9; it must be at most 4/, 2],
])('confirm %j is refused', async (args, says, code) => {
  const ended = await inProcess(['confirm', ...args, '--db', found()]);
  expect(ended.stderr).toMatch(says);
  expect(ended).toMatchObject({ code, stdout: '' });
});

test('a run without layers of its own has nothing to confirm', async () => {
  const path = join(temporaryFolder(), 'x.db');
  const store = openStore(path);
  expect(await inProcess(['confirm', '--db', path])).toMatchObject({
    stderr: expect.stringContaining('has no runs yet'),
  });
  store.begin({ started: TIME.at, config: {}, protocolKey: KEY, protocol: PROTOCOL });
  store.close();
  expect(await inProcess(['confirm', '--db', path])).toMatchObject({
    code: 2,
    stderr: expect.stringContaining('Run 1 has no scored layers of its own'),
  });
});
