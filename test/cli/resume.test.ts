import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import Database from 'better-sqlite3';
import { describe, expect, test, vi } from 'vitest';
import { openStore } from '../../db/store.ts';
import { evolayer, inProcess, PROGRAM, start, TINY, temporaryFolder } from './process.ts';

// Several whole runs, each in a process of its own.
vi.setConfig({ testTimeout: 120_000 });

const SETTINGS = [...TINY, '--baseline', 'bn-relu', '--lookahead', '16', '--warm-start', 'DyT'];

/** All that a run decided. */
function candidatesOf(db: string, run = 1) {
  const store = openStore(db, { readonly: true });
  try {
    return [...store.candidates.ofRun(run)].map((candidate) => JSON.stringify(candidate));
  } finally {
    store.close();
  }
}

function sessionsOf(db: string) {
  const store = openStore(db, { readonly: true });
  try {
    return store.sessions.ofRun(1);
  } finally {
    store.close();
  }
}

const search = (db: string, proposals: number) =>
  ['search', ...SETTINGS, '--proposals', String(proposals), '--db', db] as const;

test('a run goes on with other workers and more proposals to what it would have been', async () => {
  const folder = temporaryFolder();
  const [whole, part] = [join(folder, 'whole.db'), join(folder, 'part.db')];
  expect(await evolayer(search(whole, 50))).toMatchObject({ code: 0 });
  expect(await evolayer([...search(part, 20), '--workers', '1'])).toMatchObject({ code: 0 });
  const more = ['--proposals', '50', '--workers', '2', '--json', '--db', part];
  const { code, stdout } = await evolayer(['resume', '1', ...more]);
  expect(code).toBe(0);
  expect(JSON.parse(stdout)).toMatchObject({
    ...{ run: 1, stopped: 'finished', condition: 'proposals', detail: '50 proposals' },
    proposals: 50,
  });
  expect(candidatesOf(part)).toEqual(candidatesOf(whole));
  expect(sessionsOf(part)).toMatchObject([
    { workers: 1, stopped: 'finished', detail: '20 proposals' },
    { workers: 2, stopped: 'finished', detail: '50 proposals' },
  ]);
});

describe('what cannot go on', () => {
  const refusals = async (db: string, cases: readonly (readonly [string[], RegExp])[]) => {
    for (const [args, says] of cases) {
      const ended = await inProcess(['resume', ...args, '--db', db]);
      expect(ended).toMatchObject({ code: 2, stdout: '', stderr: expect.stringMatching(says) });
    }
  };

  test('is refused with a sentence', async () => {
    const folder = temporaryFolder();
    const db = join(folder, 'x.db');
    await evolayer(search(db, 5));
    await refusals(db, [
      [['1'], /Run 1 is finished \(5 proposals\); .* such as --proposals 10\./],
      [['2', '--proposals', '9'], /There is no run 2 in .*x\.db; the last one is 1\./],
      [['best'], /The run is "best"; it must be the number of a run, such as 3\./],
      [['1', '--proposals', '9', '--seed', '3'], /\(seed: 0 in run 1, 3 now\)/],
      [
        ['1', '--proposals', '9', '--steps', '3', '--lookahead', '8'],
        /\(lookahead: 16 in run 1, 8 now; protocol\.steps: 2 in run 1, 3 now\)/,
      ],
      [['1', '--proposals', '9', '--preset', 'quick'], /baselines: \["BN-ReLU"\] in run 1/],
      [['1', '--proposals', '0'], /stop\.proposals is 0; it must be a whole number/],
    ]);
    expect(sessionsOf(db)).toHaveLength(1);
    const same = [...SETTINGS, '--min-accuracy', '0', '--proposals', '6', '--json'];
    const again = await evolayer(['resume', '1', ...same, '--preset', 'quick', '--db', db]);
    expect(again).toMatchObject({ code: 0, stdout: expect.stringContaining('"proposals":6') });
    const absent = await inProcess(['resume', '1', '--db', join(folder, 'absent.db')]);
    expect(absent).toMatchObject({
      code: 1,
      stderr: expect.stringMatching(/There is no database/),
    });
    expect(readdirSync(folder)).not.toContain('absent.db');
  });

  test('is a run of another machine or of other data', async () => {
    const db = join(temporaryFolder(), 'x.db');
    await evolayer(search(db, 5));
    const change = (path: string, value: string) => {
      const direct = new Database(db);
      direct.prepare('UPDATE runs SET config = json_set(config, ?, ?)').run(path, value);
      direct.close();
    };
    const more = ['1', '--proposals', '9'];
    change('$.protocol.dataset.hash', 'feedfacefeedface');
    await refusals(db, [[more, /fashion-mnist with the hash feedface.*, and here its hash is/]]);
    change('$.protocol.numerics', 'native/sve');
    await refusals(db, [[more, /arithmetic native\/sve, which cannot be had .*native\/base\/\d/]]);
  });
});

describe.each(['SIGINT', 'SIGTERM'] as const)('%s', (signal) => {
  test('stops a search within seconds, and says how to go on', async () => {
    const db = join(temporaryFolder(), "it's.db");
    const running = start([...search(db, 100_000), '--json']);
    await running.says('BN-ReLU: ');
    running.process.kill(signal);
    const { code, stdout, stderr } = await running.ended;
    expect(code).toBe(130);
    const summary = JSON.parse(stdout);
    expect(summary).toMatchObject({ stopped: 'interrupted', condition: null, detail: signal });
    const [saved, goOn] = stderr.trimEnd().split('\n').slice(-2);
    expect(saved).toBe(
      `Interrupted (${signal}); ${summary.proposals} proposals of run 1 are saved.`,
    );
    const path = db.replace("'", "'\\''");
    expect(goOn).toBe(`To go on: evolayer resume 1 --db '${path}'`);
    expect(sessionsOf(db)).toMatchObject([{ stopped: 'interrupted', detail: signal }]);

    const resumed = start(['resume', '1', '--db', db]);
    await resumed.says('run 1: ');
    resumed.process.kill(signal);
    resumed.process.kill(signal);
    expect((await resumed.ended).code).toBe(130);
    const candidates = candidatesOf(db);
    expect(candidates.length).toBeGreaterThanOrEqual(summary.proposals);
    const next = summary.proposals + 20;
    const last = await evolayer(['resume', '1', '--proposals', String(next), '--db', db]);
    expect(last.code).toBe(0);
    expect(candidatesOf(db).slice(0, candidates.length)).toEqual(candidates);
  });
});

test('a file that may not grow stops the run with a sentence; with more room it goes on', async () => {
  const folder = temporaryFolder();
  const [whole, db] = [join(folder, 'whole.db'), join(folder, 'x.db')];
  await evolayer(search(whole, 300));
  // In blocks of 1 KiB: the empty database takes 110 of them in its log, and all proposals more than the rest,
  // in however few commits they come.
  const limited = spawn(
    'bash',
    ['-c', 'ulimit -f 320; exec "$@"', 'bash', process.execPath, PROGRAM, ...search(db, 300)],
    { stdio: ['ignore', 'ignore', 'pipe'] },
  );
  let stderr = '';
  limited.stderr.setEncoding('utf8').on('data', (text: string) => {
    stderr += text;
  });
  const [code] = await once(limited, 'close');
  expect(stderr).toMatch(/error: .*x\.db (cannot be read or written|.*no space)/);
  expect(stderr).toContain(`To go on: evolayer resume 1 --db ${db}`);
  expect(code).toBe(1);
  const stored = candidatesOf(db);
  expect(stored.length).toBeGreaterThan(0);
  expect(stored).toEqual(candidatesOf(whole).slice(0, stored.length));
  expect(await evolayer(['resume', '1', '--db', db])).toMatchObject({ code: 0 });
  expect(candidatesOf(db)).toEqual(candidatesOf(whole));
});
