import { copyFileSync, readFileSync, rmSync, statSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import Database from 'better-sqlite3';
import { beforeAll, describe, expect, test } from 'vitest';
import { z } from 'zod';
import { openStore } from '../../db/store.ts';
import type { SearchConfig } from '../../src/search/config.ts';
import { runSearch } from '../../src/search/run.ts';
import { inFolder } from '../db/records.ts';
import { configOf, FakePool } from '../search/fake.ts';
import { inProcess, temporaryFolder } from './process.ts';

const reportShape = z.strictObject({
  db: z.string(),
  sound: z.boolean(),
  runs: z.array(
    z.strictObject({
      run: z.int(),
      sound: z.boolean(),
      proposals: z.int(),
      sampled: z.int(),
    }),
  ),
  findings: z.array(z.strictObject({ run: z.int().nullable(), message: z.string() })),
});

/** A database with two finished runs, the first of which averages evaluations, made once: its bytes. */
let whole: Buffer;

beforeAll(() =>
  inFolder(async (folder) => {
    const path = join(folder, 'whole.db');
    const store = openStore(path);
    const averaging = { evaluations: 3, forget: 0.3, audit: 0.3, mantissaBits: 24 };
    for (const [seed, cache] of [
      [7, averaging],
      [8, {}],
    ] as const)
      await runSearch({
        config: configOf({ seed, cache, rejectionAudit: 0.5, stop: { proposals: 150 } }),
        ...{ store, pool: new FakePool(2) },
      });
    store.close();
    whole = readFileSync(path);
  }),
);

function copyOfWhole(): string {
  const path = join(temporaryFolder(), 'x.db');
  writeFileSync(path, whole);
  return path;
}

/** What a check says, in both forms: sentences, and never a stack. */
async function checked(path: string) {
  const text = await inProcess(['runs', '--check', '--db', path]);
  const json = await inProcess(['runs', '--check', '--json', '--db', path]);
  const report = reportShape.parse(JSON.parse(json.stdout));
  for (const { code, stdout, stderr } of [text, json]) {
    expect(code).toBe(report.sound ? 0 : 1);
    expect(stdout + stderr).not.toMatch(/^\s+at |internal|undefined/m);
    expect(stderr).toMatch(report.sound ? /^$/ : /^error: .* is not sound: \d+ findings?\.\n$/);
  }
  for (const { message } of report.findings) expect(message).toMatch(/^[A-Zr\d].*\.$/);
  const of = (run: number | null) =>
    report.findings.filter((finding) => finding.run === run).map(({ message }) => message);
  const sound = report.runs.filter((run) => run.sound).map(({ run }) => run);
  return { report, of, sound, stdout: text.stdout };
}

test('a sound database is said to be sound', async () => {
  const { report, stdout } = await checked(copyOfWhole());
  expect(report).toMatchObject({
    ...{ sound: true, findings: [] },
    runs: [1, 2].map((run) => ({ run, sound: true, proposals: 150, sampled: 152 })),
  });
  expect(stdout).toMatch(/the file is sound\nrun 1, 150 proposals: sound, keys of 152 candidates/);
});

test('a database that somebody writes is sound at any moment, and stays writable', async () => {
  const path = join(temporaryFolder(), 'x.db');
  const store = openStore(path);
  const seen: boolean[] = [];
  let commits = 0;
  const pending: Promise<void>[] = [];
  await runSearch({
    config: configOf(),
    ...{ store, pool: new FakePool(2) },
    onEvent: ({ type }) => {
      if (type === 'committed' && ++commits % 10 === 0)
        pending.push(checked(path).then(({ report }) => void seen.push(report.sound)));
    },
  });
  await Promise.all(pending);
  store.close();
  expect(seen.length).toBeGreaterThan(2);
  expect(new Set(seen)).toEqual(new Set([true]));
});

/** Changes rows behind the schema's back. */
function edited(...statements: string[]): string {
  const path = copyOfWhole();
  const db = new Database(path);
  db.pragma('foreign_keys = OFF');
  db.pragma('ignore_check_constraints = ON');
  for (const statement of statements) {
    const { changes } = db.prepare(statement).run();
    expect(changes, statement).toBeGreaterThan(0);
  }
  db.close();
  return path;
}

const one = (where: string) =>
  `id = (SELECT min(id) FROM candidates WHERE run = 2 AND idx > 20 AND ${where})`;
const EDITS: readonly (readonly [string, RegExp])[] = [
  [
    `DELETE FROM candidates WHERE run = 2 AND idx = 70`,
    /^r2-70 is missing: r2-71 comes in its place\.$/m,
  ],
  [
    `DELETE FROM candidates WHERE run = 2 AND idx = -2`,
    /^Baseline 2 is missing: Baseline 1 comes/m,
  ],
  [
    `UPDATE candidates SET genome = '{"nodes"' WHERE run = 2 AND idx = 70`,
    /^r2-70: the genome is damaged: .*JSON/m,
  ],
  [
    `UPDATE candidates SET genome = '{"nodes": [{"op": "mull", "args": [0, 1]}]}' WHERE run = 2 AND idx = 70`,
    /^r2-70: the genome is damaged: genome\.nodes\[0\]\.op is "mull"/m,
  ],
  [
    `UPDATE candidates SET genome = '{"nodes": [{"op": "sigmoid", "args": [0]}]}' WHERE run = 2 AND idx = 70`,
    /^r2-70: its genome does not have its structural key\.$/m,
  ],
  [
    `UPDATE candidates SET functional_key = 'f00' WHERE ${one("outcome = 'evaluated' AND repeat IS NULL")}`,
    /^r2-\d+: its genome does not have its functional key\.$/m,
  ],
  [
    `UPDATE candidates SET outcome = 'not-finite' WHERE ${one("outcome = 'constant'")}`,
    /^r2-\d+: its genome is constant, not not-finite\.$/m,
  ],
  [
    `UPDATE candidates SET fitness = 0.99 WHERE ${one("outcome = 'evaluated'")}`,
    /^r2-\d+: its fitness is 0\.99, and the mean of its scores 0\.\d+\.$/m,
  ],
  [
    `UPDATE candidates SET numbers = '{"perAnchor": [{"anchor": "mini-wide"}]}' WHERE ${one("outcome = 'evaluated'")}`,
    /^r2-\d+: the outcome is damaged: perAnchor\.0\.accuracy must be a number from 0 to 1\.$/m,
  ],
  [
    `UPDATE candidates SET outcome = 'won' WHERE run = 2 AND idx = 70`,
    /^r2-70: it ended as won\.$/m,
  ],
  [
    `UPDATE candidates SET parent = 140 WHERE ${one("origin = 'mutation' AND idx < 140")}`,
    /^r2-\d+: its parent 140 comes after it\.$/m,
  ],
  [
    `UPDATE candidates SET repeat = 0 WHERE ${one("repeat IS NULL AND outcome = 'evaluated'")}`,
    /^The function [0-9a-f]{40} was evaluated more than once\.$/m,
  ],
  [
    `DELETE FROM evaluations WHERE candidate = (SELECT max(candidate) FROM evaluations)`,
    /^r2-\d+: its evaluation is missing\.$/m,
  ],
  [
    `DELETE FROM rejections WHERE candidate = (SELECT max(candidate) FROM rejections)`,
    /^r2-\d+: its evaluation \([a-z-]+\) is missing\.$/m,
  ],
  [
    `UPDATE evaluations SET accuracy = 0.5 WHERE candidate = (SELECT max(candidate) FROM evaluations)`,
    /^r2-\d+: its scores are not those of its evaluation\.$/m,
  ],
  [
    `UPDATE evaluations SET functional_key = 'f00' WHERE candidate = (SELECT max(candidate) FROM evaluations)`,
    /^r2-\d+ has an evaluation of another function or protocol\.$/m,
  ],
  [`UPDATE runs SET config = '{' WHERE id = 2`, /^The configuration is damaged: .*JSON/m],
  [`UPDATE runs SET protocol_key = 'f00' WHERE id = 2`, /^Its protocol f00 is missing\.$/m],
];

describe('a row that was changed is found, and the other run is whole', () => {
  test.each(EDITS)('%s', async (statement, says) => {
    const { of, sound, stdout } = await checked(edited(statement));
    expect(of(2).join('\n')).toMatch(says);
    expect(sound).toEqual([1]);
    expect(stdout).toMatch(/whole:\n {2}evolayer export-run 1 --db .* --output run-1\.db\n$/);
  });
});

test.each([
  [
    `UPDATE evaluations SET accuracy = 0.5 WHERE candidate = (
       SELECT max(id) FROM candidates WHERE run = 1 AND evaluations > 1 AND repeat IS NOT NULL
         AND outcome = 'evaluated')`,
    /^r1-\d+: its scores are not those of its evaluations\.$/m,
  ],
  [
    `UPDATE candidates SET evaluations = 2 WHERE run = 1 AND idx = (
       SELECT max(idx) FROM candidates WHERE run = 1 AND functional_key IS NULL)`,
    /^r1-\d+: it counts 2 evaluations and has no function\.$/m,
  ],
  [
    `UPDATE audits SET functional_key = 'f00' WHERE candidate = (SELECT min(candidate) FROM audits)`,
    /^r1-\d+ has an audit that is not one of it\.$/m,
  ],
  [
    `UPDATE audits SET kind = 'rejection' WHERE candidate = (
       SELECT min(candidate) FROM audits JOIN candidates ON id = candidate
       WHERE run = 1 AND kind = 'hit')`,
    /^r1-\d+ has an audit that is not one of it\.$/m,
  ],
  [
    `UPDATE audits SET kind = 'hit' WHERE candidate = (
       SELECT min(candidate) FROM audits JOIN candidates ON id = candidate
       WHERE run = 1 AND kind = 'rejection')`,
    /^r1-\d+ has an audit that is not one of it\.$/m,
  ],
  [
    `UPDATE rejections SET outcome = 'diverged' WHERE candidate = (
       SELECT min(candidate) FROM audits JOIN candidates ON id = candidate
       WHERE run = 1 AND kind = 'rejection')`,
    /^r1-\d+ has an audit that is not one of it\.$/m,
  ],
])('so is one of a run that averages: %s', async (statement, says) => {
  const { of, sound } = await checked(edited(statement));
  expect(of(1).join('\n')).toMatch(says);
  expect(sound).toEqual([2]);
});

test('a run that is whole can be saved from a damaged database', async () => {
  const path = edited(`UPDATE candidates SET genome = '{' WHERE run = 2 AND idx = 70`);
  const output = join(path, '..', 'run-1.db');
  const saved = await inProcess(['export-run', '1', '--db', path, '--output', output]);
  expect(saved).toMatchObject({ code: 0 });
  expect((await checked(output)).report).toMatchObject({
    ...{ sound: true, runs: [{ run: 1, proposals: 150 }] },
  });
});

/** Runs 1 and 2 evaluate the same functions in spellings that score differently: 1 goes on when 2 is done. */
async function twoSpellings(cache: object): Promise<string> {
  const path = join(temporaryFolder(), 'x.db');
  const store = openStore(path);
  const small = { genomeNodes: 3, exploration: 0.5, cache };
  const configs = [7, 8].map((seed) => configOf({ seed, ...small, stop: { proposals: 150 } }));
  const [older, younger] = configs as [SearchConfig, SearchConfig];
  const controller = new AbortController();
  await runSearch({
    ...{ config: older, store, pool: new FakePool(2), signal: controller.signal },
    onEvent: ({ type }) => type === 'committed' && controller.abort(),
  });
  await runSearch({ config: younger, store, pool: new FakePool(2) });
  await runSearch({ config: older, store, pool: new FakePool(2), runId: 1 });
  store.close();
  return path;
}

/** Candidates of a run whose evaluation is stored, with other scores, for one of another run. */
const OTHER_SPELLINGS = `
  SELECT count(*) FROM candidates c JOIN evaluations e ON e.functional_key = c.functional_key
    AND e.repeat = c.repeat AND e.position = 0 JOIN candidates o ON o.id = e.candidate
  WHERE c.run = ? AND o.run <> c.run AND c.outcome = 'evaluated'
    AND json_extract(c.numbers, '$.perAnchor[0].accuracy') <> e.accuracy`;

test.each([
  ['one evaluation', { evaluations: 1 }],
  ['means of several', { evaluations: 3, forget: 0.3 }],
])('a function that two runs evaluated in two spellings is sound: %s', async (_, cache) => {
  const path = await twoSpellings(cache);
  const db = new Database(path);
  expect(db.prepare(OTHER_SPELLINGS).pluck().get(1)).toBeGreaterThan(0);
  expect((await checked(path)).report).toMatchObject({ sound: true, findings: [] });

  // The row is still held to the candidate that it is stored for.
  const { changes } = db
    .prepare(`
    UPDATE evaluations SET accuracy = 0.123 WHERE position = 0 AND candidate = (
      SELECT max(id) FROM candidates WHERE run = 2 AND repeat = 0 AND outcome = 'evaluated')`)
    .run();
  expect(changes).toBeGreaterThan(0);
  db.close();
  const { of, sound } = await checked(path);
  expect(of(2).join('\n')).toMatch(/^r2-\d+: its scores are not those of its evaluation/m);
  expect(sound).toEqual([1]);
});

test('of runs that evaluated the same functions, each on its own, one can be deleted', async () => {
  const path = await twoSpellings({});
  const db = new Database(path);
  const rejections = db.prepare(`
    SELECT functional_key, candidate, repeat FROM rejections ORDER BY functional_key, candidate`);
  const ofOlder = `
    SELECT r.functional_key, candidate, r.repeat FROM rejections r JOIN candidates c ON c.id = candidate
    WHERE run = 1`;
  const twice = db.prepare(`
    SELECT count(*) FROM (
      SELECT 1 FROM rejections GROUP BY functional_key, repeat HAVING count(*) > 1)`);
  expect(twice.pluck().get()).toBeGreaterThan(0);
  const own = db.prepare(ofOlder).all();
  expect(await inProcess(['prune', '--run', '2', '--yes', '--db', path])).toMatchObject({
    code: 0,
  });
  expect(rejections.all()).toEqual(expect.arrayContaining(own));
  expect(twice.get()).toBe(0);
  db.close();
});

test('references to rows that are not there are counted', async () => {
  const { of } = await checked(edited('DELETE FROM candidates WHERE run = 2 AND idx > 100'));
  expect(of(null).join('\n')).toMatch(
    /^\d+ rows of rejections without the candidates row that it names\.$/m,
  );
});

test('a protocol that was changed no longer has its key; many findings are cut short', async () => {
  const path = edited(
    `UPDATE protocols SET protocol = json_set(protocol, '$.steps', 301)`,
    `UPDATE candidates SET fitness = 0.001 WHERE run = 1 AND fitness IS NOT NULL`,
  );
  const { of, sound } = await checked(path);
  expect(of(2)).toEqual([
    expect.stringMatching(/has the key [0-9a-f]{16} and gives [0-9a-f]{16}:/),
  ]);
  expect(of(1)).toHaveLength(11);
  expect(of(1).at(-1)).toMatch(/^And \d+ more\.$/);
  expect(sound).toEqual([]);
});

/** Commands that read the database, and some that write it too. */
const ASKED = [
  ['runs'],
  ['stats'],
  ['leaderboard'],
  ['show', 'r1-5'],
  ['compare', 'r1-5', 'DyT'],
  ['export-run', '1'],
  ['prune', '--run', '1', '--yes'],
];

describe('a damaged file', () => {
  const pages = () => whole.length / 4096;

  test('has findings, wherever a page was overwritten', async () => {
    const found: number[] = [];
    for (let page = 1; page < pages(); page += Math.ceil(pages() / 12)) {
      const path = copyOfWhole();
      const bytes = Buffer.from(whole);
      bytes.fill(0xa5, page * 4096 + 5, page * 4096 + 900);
      writeFileSync(path, bytes);
      const { report } = await checked(path);
      if (!report.sound) found.push(page);
    }
    // All pages of this database are in use.
    expect(found).toHaveLength(Math.ceil((pages() - 1) / Math.ceil(pages() / 12)));
  });

  test('is called damaged by whatever meets it, and never a bug', async () => {
    const damaged = new Set<string>();
    for (let page = 1; page < pages(); page += Math.ceil(pages() / 8)) {
      const bytes = Buffer.from(whole).fill(0xff, page * 4096, (page + 1) * 4096);
      for (const args of ASKED) {
        const path = copyOfWhole();
        writeFileSync(path, bytes);
        const output = args[0] === 'export-run' ? ['-o', join(path, '..', 'run.db')] : [];
        const { code, stderr } = await inProcess([...args, ...output, '--db', path]);
        expect(stderr).not.toContain('internal');
        if (code === 0) continue;
        expect(stderr).toMatch(/error: The database .*x\.db is damaged; restore/);
        damaged.add(args[0] as string);
      }
    }
    expect(damaged.size).toBeGreaterThan(4);
  });

  test.each([0.1, 0.5, 0.9])('that ends after %d of its length has findings', async (share) => {
    const path = copyOfWhole();
    truncateSync(path, Math.floor(share * whole.length));
    const { report } = await checked(path);
    expect(report.sound).toBe(false);
  });

  test.each([
    ['a header of zeros', Buffer.alloc(100), /file is not a database/],
    ['text', Buffer.from('no database'.repeat(30)), /file is not a database/],
  ])('with %s cannot be opened', async (_, head, says) => {
    const path = copyOfWhole();
    writeFileSync(path, Buffer.concat([head, whole.subarray(head.length)]));
    expect((await checked(path)).of(null).join()).toMatch(says);
  });

  test('without the WAL that holds its rows says what may have been left behind', async () => {
    const folder = temporaryFolder();
    const store = openStore(join(folder, 'live.db'));
    const path = join(folder, 'copy.db');
    await runSearch({ config: configOf(), store, pool: new FakePool(2) });
    copyFileSync(store.path, path);
    expect(statSync(`${store.path}-wal`).size).toBeGreaterThan(0);
    const { of } = await checked(path);
    expect(of(null).join()).toMatch(/tables .* are missing; .* ends with -wal was left behind\.$/);
    store.close();
    rmSync(path);
  });
});

test('what is no database of ours is refused as by every other command', async () => {
  const folder = temporaryFolder();
  const absent = await inProcess(['runs', '--check', '--db', join(folder, 'absent.db')]);
  expect(absent).toMatchObject({ code: 1, stdout: '' });
  expect(absent.stderr).toMatch(/^error: There is no database/);
  const foreign = join(folder, 'foreign.db');
  new Database(foreign).exec('CREATE TABLE t (a)').close();
  expect((await inProcess(['runs', '--check', '--db', foreign])).stderr).toMatch(/not one of evol/);
});
