import { copyFileSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Ajv, type AnySchema } from 'ajv';
import { beforeAll, describe, expect, onTestFinished, test } from 'vitest';
import { fillDatabase } from '../../bench/synthetic.ts';
import { openStore, type Store } from '../../db/store.ts';
import { TARGET_NAMES } from '../../src/export/write.ts';
import { inProcess } from '../cli/process.ts';
import { answerOf, dashboard } from './dashboard.ts';

/** Made once; each test has a copy of its own. */
let made: string;
let folder: string;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'evolayer-'));
  made = join(folder, 'made.db');
  fillDatabase(made, { candidates: 600, runs: 2, seed: 1 });
  return () => rmSync(folder, { recursive: true, force: true });
});

function database(): string {
  const copy = mkdtempSync(join(folder, 'copy-'));
  const path = join(copy, 'x.db');
  copyFileSync(made, path);
  return path;
}

/** What a command prints as JSON. */
async function printed(db: string, ...args: string[]): Promise<unknown> {
  const { code, stdout, stderr } = await inProcess([...args, '--db', db, '--json']);
  expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
  return JSON.parse(stdout);
}

function stored(path: string): Store {
  const store = openStore(path, { readonly: true });
  onTestFinished(() => store.close());
  return store;
}

describe('the API answers what the commands print', () => {
  test('runs, statistics, layers and comparisons', async () => {
    const db = database();
    const { url, errors } = await dashboard(db);
    expect(await answerOf(url, '/api/runs')).toEqual({ db, runs: await printed(db, 'runs') });
    for (const run of ['1', '2']) {
      const { stats } = await answerOf<{ stats: object }>(url, `/api/runs/${run}/stats`);
      expect(stats).toEqual(await printed(db, 'stats', run));
    }
    for (const layer of ['r1-20', 'r2-299', 'BN-ReLU', 'evonorm-s0', 'x * sigmoid(v1 * x) + 0']) {
      const path = `/api/layer?${new URLSearchParams({ layer })}`;
      const { dossier } = await answerOf<{ dossier: object }>(url, path);
      expect(dossier).toEqual(await printed(db, 'show', layer));
    }
    const layers = ['r1-290', 'BN-ReLU', 'r1-280', 'tanh(x)'];
    const query = new URLSearchParams(layers.map((layer): [string, string] => ['layer', layer]));
    const { comparison } = await answerOf<{ comparison: object }>(url, `/api/compare?${query}`);
    expect(comparison).toEqual(await printed(db, 'compare', ...layers));
    expect(errors).toEqual([]);
  });

  const FILTERS: readonly (readonly [query: Record<string, string>, flags: readonly string[]])[] = [
    [{}, []],
    [{ run: '1' }, ['--run', '1']],
    [{ run: '1', sort: 'nodes' }, ['--run', '1', '--sort', 'nodes']],
    [{ run: '1', sort: 'mini-deep' }, ['--run', '1', '--sort', 'mini-deep']],
    [{ run: '1', sort: 'evaluations' }, ['--run', '1', '--sort', 'evaluations']],
    [{ sort: 'age', top: '7' }, ['--sort', 'age', '--top', '7']],
    [{ pareto: 'true' }, ['--pareto']],
    [{ run: '1', pareto: 'true', top: '1' }, ['--run', '1', '--pareto', '--top', '1']],
    [{ anchor: 'mini-deep' }, ['--anchor', 'mini-deep']],
    [{ batchIndependent: 'true' }, ['--batch-independent']],
    [{ minEvaluations: '3' }, ['--min-evaluations', '3']],
    [{ since: '2026-01-02T00:03' }, ['--since', '2026-01-02T00:03']],
    [{ top: '5' }, ['--top', '5']],
  ];

  test.each(FILTERS)('the leaderboard with %j, in windows of 40 lines', async (query, flags) => {
    const db = database();
    const { url } = await dashboard(db);
    const all = flags.includes('--top') ? [] : ['--top', '1000000'];
    const expected = (await printed(db, 'leaderboard', ...flags, ...all)) as unknown[];
    const found: unknown[] = [];
    for (let from = 0; from === 0 || from < expected.length; from += 40) {
      const window = { ...query, from: String(from), count: '40' };
      const path = `/api/leaderboard?${new URLSearchParams(window)}`;
      const answer = await answerOf<{ entries: unknown[]; lines: number }>(url, path);
      expect(answer.lines).toBe(expected.length);
      found.push(...answer.entries);
    }
    expect(expected.length).toBeGreaterThan(0);
    expect(found).toEqual(expected);
  });

  test('exports', async () => {
    const db = database();
    const { url } = await dashboard(db);
    for (const to of TARGET_NAMES.filter((name) => name !== 'onnx')) {
      const query = new URLSearchParams({ layer: 'EvoNorm-B0', to, layout: 'nhwc' });
      const { content } = await answerOf<{ content: string }>(url, `/api/layer/export?${query}`);
      const args = ['export', 'EvoNorm-B0', '--db', db, '--to', to, '--layout', 'nhwc'];
      expect(content).toBe((await inProcess(args)).stdout);
      const file = await fetch(new URL(`/api/layer/file?${query}`, url));
      expect(await file.text()).toBe(content);
      expect(file.headers.get('content-disposition')).toMatch(/^attachment; filename="EvoNormB0/);
    }
    const onnx = await answerOf(url, '/api/layer/export?layer=BN-ReLU&to=onnx');
    expect(onnx).toEqual({ file: 'BNReLU.onnx', content: null });
  });
});

describe('the API tells how a run went', () => {
  test('the fitness of every proposal, whole and from some point on', async () => {
    const db = database();
    const { url } = await dashboard(db);
    const scored = [...stored(db).candidates.ofRun(1)].filter(
      ({ index, fitness }) => index >= 0 && fitness !== null,
    );
    for (const after of [-1, 0, 123, 299]) {
      const rest = scored.filter(({ index }) => index > after);
      expect(await answerOf(url, `/api/runs/1/fitness?after=${after}`)).toEqual({
        indices: rest.map(({ index }) => index),
        fitness: rest.map(({ fitness }) => fitness),
        last: 299,
      });
    }
  });

  test('the funnel and the cache by parts, which add up to those of the run', async () => {
    const db = database();
    const { url } = await dashboard(db);
    const { course, row } = await answerOf<{
      row: { proposals: number };
      course: {
        size: number;
        proposals: number[];
        outcomes: Record<string, number[]>;
        hits: Record<string, number[]>;
        trained: number[];
      };
    }>(url, '/api/runs/1');
    const candidates = [...stored(db).candidates.ofRun(1)].filter(({ index }) => index >= 0);
    expect(course.proposals.at(-1)).toBe(row.proposals);
    expect(course.proposals.length).toBeGreaterThan(3);
    const parts = course.proposals.map((end, i) =>
      candidates.slice(course.proposals[i - 1] ?? 0, end),
    );
    const counts = (of: (candidate: (typeof candidates)[number]) => boolean) =>
      parts.map((part) => part.filter(of).length);
    for (const [outcome, found] of Object.entries(course.outcomes))
      expect(found).toEqual(counts((candidate) => candidate.outcome.outcome === outcome));
    for (const [tier, found] of Object.entries(course.hits))
      expect(found).toEqual(
        counts((c) => c.tier === tier && c.repeat === null && c.functionalKey !== null),
      );
    expect(course.trained).toEqual(
      counts((c) => c.outcome.outcome === 'evaluated' && c.repeat !== null),
    );
  });

  test('rejections by reason, the youngest first, and older ones on demand', async () => {
    const db = database();
    const { url } = await dashboard(db);
    const candidates = [...stored(db).candidates.ofRun(1)].filter(({ index }) => index >= 0);
    const idsOf = (outcome: string) =>
      candidates
        .filter((candidate) => candidate.outcome.outcome === outcome)
        .map(({ index }) => `r1-${index}`)
        .reverse();
    const { proposals, reasons } = await answerOf<{
      proposals: number;
      reasons: {
        outcome: string;
        count: number;
        examples: { id: string; description: string }[];
      }[];
    }>(url, '/api/runs/1/rejections?examples=3');
    expect(proposals).toBe(300);
    expect(reasons.map(({ outcome }) => outcome)).toEqual(['constant', 'low-quality', 'diverged']);
    for (const { outcome, count, examples } of reasons) {
      const ids = idsOf(outcome);
      expect(count).toBe(ids.length);
      expect(examples.map(({ id }) => id)).toEqual(ids.slice(0, 3));
      const before = ids[2]!.split('-')[1];
      const older = await answerOf<{ id: string }[]>(
        url,
        `/api/runs/1/rejected?outcome=${outcome}&before=${before}&count=5`,
      );
      expect(older.map(({ id }) => id)).toEqual(ids.slice(3, 8));
    }
    expect(reasons[1]!.examples[0]!.description).toMatch(/% on mini-wide after 100 steps, where/);
  });

  test('the front of every pair of anchors: exactly what no other layer beats on both', async () => {
    const db = database();
    const { url } = await dashboard(db);
    const fronts = await answerOf<
      { x: string; y: string; front: { id: string; x: number; y: number }[]; zoo: object[] }[]
    >(url, '/api/runs/1/fronts');
    const points = [...stored(db).candidates.ofRun(1)].flatMap(({ index, outcome }) =>
      index >= 0 && outcome.outcome === 'evaluated'
        ? [outcome.perAnchor.map(({ accuracy }) => accuracy) as [number, number]]
        : [],
    );
    const beats = ([a, b]: readonly [number, number], [c, d]: readonly [number, number]) =>
      a >= c && b >= d && (a > c || b > d);
    const best = points.filter((one) => !points.some((other) => beats(other, one)));
    const unique = [...new Set(best.map((one) => one.join(' ')))].sort();
    expect(fronts.map(({ x, y }) => [x, y])).toEqual([['mini-wide', 'mini-deep']]);
    expect(fronts[0]!.front.map(({ x, y }) => `${x} ${y}`).sort()).toEqual(unique);
    expect(fronts[0]!.zoo).toHaveLength(6);
  });
});

test('every answer is what the OpenAPI description says', async () => {
  const db = database();
  const { url } = await dashboard(db);
  interface Described {
    readonly openapi: string;
    readonly paths: Record<
      string,
      {
        get: {
          responses: Record<string, { content?: { 'application/json'?: { schema: object } } }>;
        };
      }
    >;
  }
  const description = await answerOf<Described>(url, '/api/openapi.json');
  const ajv = new Ajv({ strict: false, formats: { 'date-time': true } });
  const ASKED: Record<string, readonly string[]> = {
    '/api/runs': ['/api/runs'],
    '/api/runs/{run}': ['/api/runs/1', '/api/runs/2'],
    '/api/runs/{run}/fitness': ['/api/runs/1/fitness'],
    '/api/runs/{run}/stats': ['/api/runs/1/stats', '/api/runs/2/stats'],
    '/api/runs/{run}/fronts': ['/api/runs/1/fronts'],
    '/api/runs/{run}/rejections': ['/api/runs/1/rejections'],
    '/api/runs/{run}/rejected': ['/api/runs/1/rejected?outcome=constant&before=300'],
    '/api/leaderboard': ['/api/leaderboard', '/api/leaderboard?run=1&sort=nodes'],
    '/api/choices': ['/api/choices'],
    '/api/layer': ['/api/layer?layer=r1-290', '/api/layer?layer=BN-ReLU', '/api/layer?layer=0'],
    '/api/layer/responses': ['/api/layer/responses?layer=GN-ReLU'],
    '/api/layer/export': ['/api/layer/export?layer=BN-ReLU&to=json'],
    '/api/compare': ['/api/compare?layer=BN-ReLU&layer=r1-290'],
  };
  const described = Object.entries(description.paths).flatMap(([path, { get }]) => {
    const schema = get.responses['200']?.content?.['application/json']?.schema;
    return schema ? [{ path, schema }] : [];
  });
  expect(described.map(({ path }) => path).sort()).toEqual(Object.keys(ASKED).sort());
  for (const { path, schema } of described) {
    const validate = ajv.compile(schema as AnySchema);
    for (const question of ASKED[path]!) {
      validate(await answerOf(url, question));
      expect({ question, errors: validate.errors }).toEqual({ question, errors: null });
    }
  }
});

test('what is asked wrongly is answered with a sentence', async () => {
  const { url, errors } = await dashboard(database());
  const refused = async (path: string) => {
    const response = await fetch(new URL(path, url));
    const { message } = (await response.json()) as { message: string };
    return `${response.status} ${message}`;
  };
  expect(await refused('/api/runs/9')).toMatch(
    /^400 There is no run 9 in .*; the last one is 2\.$/,
  );
  expect(await refused('/api/runs/x')).toMatch(/^400 run is refused/);
  expect(await refused('/api/layer?layer=r1-9999')).toMatch(/^400 There is no layer r1-9999 in/);
  expect(await refused('/api/layer?layer=sinh(x)')).toMatch(/^400 unknown op "sinh"/);
  expect(await refused('/api/layer')).toMatch(/^400 layer is refused/);
  expect(await refused('/api/leaderboard?sort=mini-dep')).toMatch(
    /^400 .*Did you mean mini-deep\?/,
  );
  expect(await refused('/api/leaderboard?since=2026-02-31')).toMatch(
    /^400 since is .*a date such as/,
  );
  expect(await refused('/api/leaderboard?limit=5')).toMatch(/^400 .*limit/);
  expect(await refused('/api/leaderboard?count=100000')).toMatch(/^400 count is refused/);
  expect(await refused('/api/compare?layer=BN-ReLU')).toMatch(/^400 layer is refused/);
  expect(await refused('/api/nothing')).toMatch(/^404 There is nothing/);
  expect(errors).toEqual([]);
});

test('a database that goes away is told, and one that comes back is shown', async () => {
  const db = database();
  const { url } = await dashboard(db);
  expect((await fetch(new URL('/api/runs', url))).status).toBe(200);
  rmSync(db);
  const gone = await fetch(new URL('/api/runs', url));
  expect(gone.status).toBe(503);
  expect(await gone.json()).toMatchObject({ message: expect.stringContaining('no database') });
  copyFileSync(made, db);
  expect((await fetch(new URL('/api/runs', url))).status).toBe(200);
});
