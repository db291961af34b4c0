import { cpSync, mkdtempSync, readdirSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import Database from 'better-sqlite3';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { openStore, type Store } from '../../db/store.ts';
import { runSearch } from '../../src/search/run.ts';
import { inProcess, temporaryFolder } from '../cli/process.ts';
import { configOf, FakePool, trajectory } from '../search/fake.ts';

/** With a memory so short, also proposals that caused nothing decide what a run knows. */
const CACHE = { evaluations: 2, forget: 0.2, capacity: 8, audit: 0.1 };
const SPACE = { exploration: 0.3, genomeNodes: 3, cache: CACHE, rejectionAudit: 0.5 };

const configFor = (seed: number, proposals: number) =>
  configOf({ ...SPACE, seed, stop: { proposals } });

const search = (store: Store, seed: number, proposals: number, runId?: number) =>
  runSearch({
    ...{ config: configFor(seed, proposals), store, pool: new FakePool(3, seed) },
    ...(runId !== undefined && { runId }),
  });

let folder: string;
let original: string;

/**
 * Three runs that know of each other: 2 and 3 began when others had been at work, and 1 went on, and
 * evaluated functions that 2 needed later, when 2 had begun.
 */
beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'evolayer-'));
  original = join(folder, 'original.db');
  const store = openStore(original);
  await search(store, 1, 80);
  await search(store, 2, 50);
  await search(store, 1, 150, 1);
  await search(store, 2, 90, 2);
  await search(store, 3, 60);
  store.close();
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

function copyOf(path: string): string {
  const copy = join(temporaryFolder(), 'x.db');
  cpSync(path, copy);
  return copy;
}

/** What a run becomes when it goes on to 250 proposals. */
async function continued(path: string, run: number) {
  const store = openStore(path);
  try {
    await search(store, run, 250, run);
    return trajectory(store, run);
  } finally {
    store.close();
  }
}

function inStore<T>(path: string, ask: (store: Store) => T): T {
  const store = openStore(path, { readonly: true });
  try {
    return ask(store);
  } finally {
    store.close();
  }
}

const boardOf = (path: string, run: number) =>
  inStore(path, (store) =>
    store.leaderboard
      .top({ protocolKey: store.protocols.ofRun(run)!, run, top: 1000 })
      .map(({ rank, of, functionalKey, evaluations, candidate }) => ({
        ...{ rank, of, functionalKey, evaluations, index: candidate.index },
      })),
  );

/** The audits of a run, and what those of rejections are a sample of. */
const auditsOf = (path: string, run: number) =>
  inStore(path, ({ audits }) => ({
    hits: audits.hits(run),
    rejections: audits.rejections(run),
    rejected: audits.rejected(run),
  }));

/** Nothing refers to something that is gone, and every standing is one of a function that can be seen. */
function expectSound(path: string) {
  const db = new Database(path);
  expect(db.pragma('foreign_key_check')).toEqual([]);
  expect(db.pragma('integrity_check', { simple: true })).toBe('ok');
  const unseen = db.prepare(`SELECT count(*) FROM standings WHERE functional_key NOT IN
    (SELECT functional_key FROM candidates JOIN runs ON runs.id = run
      WHERE remnant = 0 AND outcome = 'evaluated')`);
  expect(unseen.pluck().get()).toBe(0);
  db.close();
}

const prune = (path: string, runs: readonly number[]) => {
  const store = openStore(path);
  try {
    return store.prune(runs);
  } finally {
    store.close();
  }
};

describe('deleting runs', () => {
  test.each([
    [[1], 2],
    [[1], 3],
    [[1, 2], 3],
    [[3], 2],
    [[2, 3], 1],
    [[2], 3],
  ])('%j changes nothing for run %d', async (gone, run) => {
    const path = copyOf(original);
    const reference = await continued(copyOf(original), run);
    const board = boardOf(path, run);
    const audits = auditsOf(path, run);
    expect(audits.rejections.length).toBeGreaterThan(0);
    prune(path, gone);
    expectSound(path);
    expect(auditsOf(path, run)).toEqual(audits);
    for (const other of gone)
      expect(auditsOf(path, other)).toMatchObject({ hits: [], rejections: [] });
    expect(boardOf(path, run)).toEqual(board);
    const kept = inStore(path, (store) => store.runs.list().map(({ id }) => id));
    expect(kept).toEqual([1, 2, 3].filter((id) => !gone.includes(id)));
    expect(await continued(path, run)).toEqual(reference);
    expect(boardOf(path, run).length).toBeGreaterThan(board.length);
    expectSound(path);
  });

  test('the runs above rely on others, or this would show nothing', () => {
    const path = copyOf(original);
    expect(prune(path, [1]).kept).toBeGreaterThan(20);
    expect(inStore(path, (store) => store.candidates.at(1, 140))).toBeNull();
  });

  test('one after the other leaves nothing in the end, and gives no number again', async () => {
    const path = copyOf(original);
    const size = statSync(path).size;
    for (const run of [1, 2, 3]) prune(path, [run]);
    const db = new Database(path);
    for (const table of ['runs', 'candidates', 'evaluations', 'rejections', 'standings', 'audits'])
      expect(db.prepare(`SELECT count(*) FROM ${table}`).pluck().get(), table).toBe(0);
    db.close();
    expect(statSync(path).size).toBeLessThan(size / 2);
    const store = openStore(path);
    expect((await search(store, 9, 5)).runId).toBe(4);
    store.close();
  });
});

describe('evolayer prune', () => {
  const ask = (db: string, ...args: string[]) => inProcess(['prune', '--db', db, ...args]);
  const runsIn = (db: string) => inStore(db, (store) => store.runs.list().length);

  test('says what would go, and deletes only when it is told to', async () => {
    const db = copyOf(original);
    const dry = await ask(db, '--run', '1', '--dry-run');
    expect(dry).toMatchObject({ code: 0, stderr: '' });
    expect(dry.stdout).toMatch(
      /^This would delete run 1: \d+ candidates and \d+ evaluations\. \d+ candidates stay/,
    );
    const asked = await ask(db, '--run', '1');
    expect(asked).toMatchObject({ code: 2, stdout: dry.stdout });
    expect(asked.stderr).toMatch(/Nothing was deleted; --yes deletes it/);
    expect(runsIn(db)).toBe(3);
    expectSound(db);
    const done = await ask(db, '--run', '1', '--run', '3', '--yes', '--json');
    expect(JSON.parse(done.stdout)).toMatchObject({ runs: [1, 3], deleted: true });
    expect(runsIn(db)).toBe(1);
    expect(await inProcess(['runs', '--check', '--db', db])).toMatchObject({ code: 0 });
    expect((await inProcess(['show', 'r1-3', '--db', db])).stderr).toMatch(/there is no run 1/);
  });

  test('refuses what is not there, and waits for nobody who is writing', async () => {
    const db = copyOf(original);
    expect(await ask(db, '--run', '7', '--yes')).toMatchObject({
      ...{ code: 2, stdout: '', stderr: expect.stringMatching(/no run 7 .* the last one is 3/) },
    });
    expect(await ask(db, '--run', 'all', '--yes')).toMatchObject({ code: 2 });
    expect(await ask(db, '--yes')).toMatchObject({ code: 2 });
    expect(await ask(db, '--run', '1', '--yes', '--dry-run')).toMatchObject({ code: 2 });
    expect(await ask(join(folder, 'absent.db'), '--run', '1', '--yes')).toMatchObject({ code: 1 });
    const writer = openStore(db);
    expect(await ask(db, '--run', '1', '--yes')).toMatchObject({
      ...{ code: 1, stderr: expect.stringMatching(/Another evolayer is writing/) },
    });
    writer.close();
  });
});

/** What `runs --check` finds; the made-up scores differ between spellings of one function, which it may find. */
async function findings(db: string, run: number): Promise<string[]> {
  const { stdout } = await inProcess(['runs', '--check', '--db', db]);
  expect(stdout).toContain('the file is sound');
  const lines = stdout.split('\n');
  return lines.filter((line) => line.startsWith(`run ${run},`) || line.startsWith(`  r${run}-`));
}

describe('evolayer export-run', () => {
  test.each([1, 2, 3])('run %d goes on in its file as it would have here', async (run) => {
    const source = copyOf(original);
    const output = join(temporaryFolder(), 'run.db');
    const args = ['export-run', String(run), '-o', output, '--db', source];
    // While somebody writes the original.
    const writer = openStore(source);
    expect(await inProcess(args)).toMatchObject({ code: 0, stdout: '' });
    writer.close();
    expect(readdirSync(join(output, '..'))).toEqual(['run.db']);
    expectSound(output);
    expect(inStore(output, (store) => store.runs.list().map(({ id }) => id))).toEqual([run]);
    expect(boardOf(output, run)).toEqual(boardOf(source, run));
    expect(auditsOf(output, run)).toEqual(auditsOf(source, run));
    expect(await findings(output, run)).toEqual(await findings(source, run));
    expect(await continued(output, run)).toEqual(await continued(source, run));
  });

  test('refuses to overwrite a file, and what is no run', async () => {
    const output = join(temporaryFolder(), 'run.db');
    const ask = (...args: string[]) => inProcess(['export-run', ...args, '--db', original]);
    expect(await ask('9', '-o', output)).toMatchObject({
      ...{ code: 2, stderr: expect.stringMatching(/There is no run 9/) },
    });
    expect(await ask('x', '-o', output)).toMatchObject({ code: 2 });
    expect(await ask('1', '-o', original)).toMatchObject({
      ...{ code: 2, stderr: expect.stringMatching(/is there already; name another file/) },
    });
    expect(await ask('1', '-o', join(output, 'x'))).toMatchObject({ code: 1 });
    expect(readdirSync(join(output, '..'))).toEqual([]);
  });
});
