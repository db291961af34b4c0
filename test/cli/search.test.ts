import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { z } from 'zod';
import { openStore } from '../../db/store.ts';
import { OUTCOME_NAMES } from '../../src/eval/outcome.ts';
import { statistics } from '../../src/web/server/answers/stats.ts';
import { evolayer, inProcess, start, TINY, temporaryFolder } from './process.ts';

const count = z.int().nonnegative();
const summary = z.strictObject({
  run: z.int().positive(),
  db: z.string(),
  stopped: z.enum(['finished', 'interrupted']),
  condition: z.enum(['proposals', 'evaluations', 'seconds', 'fitness', 'patience']).nullable(),
  detail: z.string(),
  seconds: z.number().positive(),
  proposals: count,
  outcomes: z.strictObject(Object.fromEntries(OUTCOME_NAMES.map((name) => [name, count]))),
  cacheHits: z.strictObject({ structural: count, functional: count }),
  trained: count,
  best: z.strictObject({ id: z.string(), formula: z.string(), fitness: z.number() }).nullable(),
});

const entry = z.strictObject({
  rank: z.int().positive(),
  name: z.string().nullable(),
  id: z.string(),
  formula: z.string(),
  protocol: z.string(),
  fitness: z.strictObject({
    mean: z.number(),
    interval: z.null(),
    perAnchor: z
      .array(z.strictObject({ anchor: z.string(), accuracy: z.number(), interval: z.null() }))
      .length(1),
  }),
  evaluations: z.int().positive(),
  nodes: z.int().positive(),
  batchIndependent: z.boolean(),
  confirmed: z.boolean(),
  origin: z.enum(['random', 'mutation', 'baseline']),
});

const run = z.strictObject({
  id: z.int(),
  started: z.iso.datetime(),
  state: z.enum(['finished', 'interrupted', 'failed', 'running', 'killed']),
  reason: z.string().nullable(),
  sessions: count,
  proposals: count,
  total: count,
  evaluated: count,
  best: z.number().nullable(),
  seconds: z.number(),
  seed: z.int(),
  algorithm: z.string(),
  protocol: z.string(),
  config: z.record(z.string(), z.unknown()),
});

const SEARCH = [
  'search',
  ...TINY,
  '--baseline',
  'bn-relu,EvoNorm-S0',
  '--lookahead',
  '16',
  '--warm-start',
  'DyT',
];

const read = async <T extends z.ZodType>(args: readonly string[], schema: T) =>
  schema.parse(JSON.parse((await inProcess([...args, '--json'])).stdout));

test('a search fills a database that the other commands read', async () => {
  const folder = temporaryFolder();
  const db = join(folder, 'x.db');
  const ended = await evolayer([...SEARCH, '--proposals', '60', '--json', '--db', db]);
  expect(ended).toMatchObject({ code: 0 });
  expect(ended.stderr).toMatch(/BN-ReLU: [\d.]+ %/);
  const found = summary.parse(JSON.parse(ended.stdout));
  const ends = Object.values(found.outcomes).reduce((a, b) => a + b, 0);
  expect(found).toMatchObject({ run: 1, stopped: 'finished', proposals: 60 });
  expect(ends).toBe(60);
  expect(found.trained).toBeGreaterThan(0);

  const [listed] = await read(['runs', '--db', db], z.array(run).length(1));
  expect(listed).toMatchObject({ id: 1, state: 'finished', proposals: 60, total: 60 });

  const board = await read(['leaderboard', '--db', db, '--top', '2'], z.array(entry));
  expect(board.map(({ rank }) => rank).slice(0, 2)).toEqual([1, 2]);
  expect(board.length).toBeGreaterThanOrEqual(2);
  for (const name of ['BN-ReLU', 'EvoNorm-S0'])
    expect(board.find((e) => e.name === name)).toMatchObject({ protocol: listed!.protocol });

  for (let index = 0; index < 60; index++)
    expect(await inProcess(['show', `r1-${index}`, '--db', db])).toMatchObject({
      stderr: '',
      code: 0,
    });
  const { id, formula } = found.best!;
  expect((await inProcess(['show', id, '--db', db])).stdout).toContain(formula);
  const file = join(folder, 'layer.py');
  const exported = await inProcess(['export', id, '--to', 'pytorch', '--db', db, '-o', file]);
  expect(exported).toMatchObject({ code: 0, stdout: '', stderr: `Wrote ${file}.\n` });
  expect(readFileSync(file, 'utf8')).toMatch(/validation accuracy: 0\.\d{4} \(protocol/);
  expect(readdirSync(folder).filter((name) => name.startsWith('.'))).toEqual([]);

  const absent = await inProcess(['show', 'r1-60', '--db', db]);
  expect(absent).toMatchObject({ code: 2, stderr: expect.stringMatching(/proposals 0 to 59/) });
});

/** All that two searches must have in common. */
function candidatesOf(db: string) {
  const store = openStore(db, { readonly: true });
  try {
    return [...store.candidates.ofRun(1)].map((candidate) => JSON.stringify(candidate));
  } finally {
    store.close();
  }
}

test('the number of workers changes nothing', async () => {
  const folder = temporaryFolder();
  const [one, two] = [1, 2].map((workers) => join(folder, `${workers}.db`));
  await Promise.all(
    [one, two].map((db, i) => {
      const size = ['--seed', '7', '--proposals', '60', '--workers', String(i + 1)];
      return evolayer([...SEARCH, ...size, '--db', db!]);
    }),
  );
  const candidates = candidatesOf(one!);
  expect(candidates).toHaveLength(63);
  expect(candidatesOf(two!)).toEqual(candidates);
  const boards = await Promise.all(
    [one, two].map((db) => evolayer(['leaderboard', '--json', '--db', db!])),
  );
  expect(boards[1]!.stdout).toBe(boards[0]!.stdout);
});

test('a second search evaluates nothing that the first did, and everything under another protocol', async () => {
  const db = join(temporaryFolder(), 'x.db');
  const search = async (...flags: string[]) => {
    const settings = ['--algorithm', 'random', '--proposals', '60', '--audit', '0', ...flags];
    const ended = await evolayer([...SEARCH, ...settings, '--json', '--db', db]);
    expect(ended).toMatchObject({ code: 0 });
    const { run, trained, cacheHits } = summary.parse(JSON.parse(ended.stdout));
    const { stdout } = await inProcess(['stats', String(run), '--json', '--db', db]);
    const { hashing, work, sessions } = statistics.parse(JSON.parse(stdout));
    const { evaluations } = sessions[0]!;
    return {
      trained,
      cacheHits,
      functions: hashing.functions,
      evaluations,
      spent: work.evaluating,
    };
  };
  const hitsOf = ({ cacheHits }: Awaited<ReturnType<typeof search>>) =>
    cacheHits.structural + cacheHits.functional;
  const first = await search();
  expect(first.evaluations).toBeGreaterThan(10);
  expect(hitsOf(first)).toBeLessThan(first.functions);
  const second = await search();
  expect(second).toMatchObject({ trained: 0, evaluations: 0, spent: 0 });
  expect(hitsOf(second)).toBe(first.functions);
  // Other steps: the same proposals, of which nothing is known.
  const other = await search('--steps', '3');
  expect(other.evaluations).toBe(first.evaluations);
  expect(hitsOf(other)).toBe(hitsOf(first));
});

test('Ctrl-C saves and exits with 130; another search can write then, and not before', async () => {
  const db = join(temporaryFolder(), 'x.db');
  const long = [...SEARCH, '--proposals', '100000', '--json', '--db', db];
  const search = start(long);
  await search.says('EvoNorm-S0: ');
  const second = await inProcess([...SEARCH, '--proposals', '1', '--db', db]);
  expect(second).toMatchObject({
    code: 1,
    stderr: expect.stringMatching(/^error: Another evolayer/m),
  });
  const [running] = await read(['runs', '--db', db], z.array(run));
  expect(running!.state).toBe('running');

  search.process.kill('SIGINT');
  const { code, stdout, stderr } = await search.ended;
  expect(code).toBe(130);
  expect(summary.parse(JSON.parse(stdout)).stopped).toBe('interrupted');
  const { proposals } = summary.parse(JSON.parse(stdout));
  expect(stderr).toContain(`Interrupted (SIGINT); ${proposals} proposals of run 1 are saved.`);
  expect(stderr.trimEnd().split('\n').at(-1)).toBe(`To go on: evolayer resume 1 --db ${db}`);
  const [stopped] = await read(['runs', '--db', db], z.array(run));
  expect(stopped).toMatchObject({ state: 'interrupted', proposals });
});
