import { type ChildProcess, spawn } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type Browser, chromium, type Page } from 'playwright-core';
import { quantile } from 'simple-statistics';
import { browserPath } from '../../scripts/browser.js';
import { resolveSearchConfig } from '../../src/search/config.ts';
import type { Bench, Group } from '../context.ts';
import { fillFunctions } from '../million.ts';
import { program } from '../program.ts';
import type { Results } from '../results.ts';
import { fillDatabase } from '../synthetic.ts';
import { figure, goals, missingContenders, table } from '../table.ts';

/** The dashboard in a browser, over one long run, over a database of a million, and beside a search. */
export const dashboard: Group = {
  name: 'dashboard',
  doc: 'the dashboard in Chromium: first views, filters and sorts over a run of 100,000, memory, a million, and a search beside it',
  run,
  report,
};

const CANDIDATES = { full: 100_000, quick: 10_000 };
const MILLION = { full: 1_000_000, quick: 100_000 };
const ROUNDS = { full: 10, quick: 3 };

const FIRST = 'first view';
const VIEWS = { runs: '', run: 'runs/1', leaderboard: 'leaderboard', layer: 'layer?layer=r1-1990' };
/** Of a run, what stands in the window; the rest of the page follows. */
const IN_WINDOW = { run: '.chart canvas' } as const;
const WHOLE_RUN = 'run, down to its last table';
const CHANGE = 'filter or sort';
const MEMORY = 'memory of the server';
const MANY = 'a million';
const BESIDE = 'a search beside it';
const ALONE = 'no dashboard';
const OPEN = 'an open dashboard';

async function run(bench: Bench, results: Results): Promise<void> {
  const size = bench.settings.quick ? 'quick' : 'full';
  const folder = mkdtempSync(join(tmpdir(), 'evolayer-bench-'));
  const executablePath = browserPath();
  const browser =
    executablePath === undefined
      ? null
      : await chromium.launch({ executablePath, args: ['--no-sandbox'] });
  try {
    const scene = { bench, results, folder, browser, rounds: ROUNDS[size] };
    if ([FIRST, CHANGE, MEMORY].some((name) => bench.wants(name)))
      await measureLongRun(scene, CANDIDATES[size]);
    if (bench.wants(MANY)) await measureMany(scene, MILLION[size]);
    if (bench.wants(BESIDE))
      await measureBeside(scene, PROPOSALS[size], bench.settings.quick ? 2 : 3);
  } finally {
    await browser?.close();
    rmSync(folder, { recursive: true, force: true });
  }
}

interface Scene {
  readonly bench: Bench;
  readonly results: Results;
  readonly folder: string;
  readonly browser: Browser | null;
  readonly rounds: number;
}

const noBrowser = (name: string, unit: string) => ({
  ...{ name, unit, missing: 'no Chromium; install it, or name it with EVOLAYER_BROWSER' },
});

async function measureLongRun(
  { bench, results, folder, browser, rounds }: Scene,
  candidates: number,
) {
  const db = join(folder, 'long.db');
  fillDatabase(db, { candidates, runs: 1, seed: 1, numerics: bench.engine.numerics });
  const server = await startServer(db);
  try {
    const views = [...viewsOf(browser, server), wholeRun(browser, server)];
    await bench.measure(results, FIRST, views, { rounds });
    if (browser) {
      const page = await browser.newPage();
      await page.goto(`${server.url}leaderboard`);
      await settled(page);
      const changes = CHANGES.map(({ name, there, back }) => ({
        ...{ name, unit: 'ms' },
        sample: async () => {
          const taken = await change(page, there);
          await change(page, back);
          return taken;
        },
      }));
      await bench.measure(results, CHANGE, changes, { rounds: 2 * rounds });
      await page.close();
    } else await bench.measure(results, CHANGE, [noBrowser('all', 'ms')], { rounds: 1 });
    const memory = { name: 'at most', unit: 'MB', sample: () => server.peak() };
    await bench.measure(results, MEMORY, [memory], { rounds: 1, warmUp: false });
  } finally {
    await server.stop();
  }
}

/** A database that runs of months share, with as many functions as candidates. */
async function measureMany({ bench, results, folder, browser, rounds }: Scene, functions: number) {
  const db = join(folder, 'many.db');
  fillFunctions(db, functions, resolveSearchConfig({ numerics: bench.engine.numerics }));
  const server = await startServer(db);
  try {
    const contenders = viewsOf(browser, server, ['runs', 'run', 'leaderboard']);
    const memory = { name: 'memory at most', unit: 'MB', sample: () => server.peak() };
    await bench.measure(results, MANY, [...contenders, memory], { rounds: Math.min(3, rounds) });
  } finally {
    await server.stop();
  }
}

const viewsOf = (browser: Browser | null, { url }: Server, names = VIEW_NAMES) =>
  names.map((name) => {
    const until = name === 'run' ? IN_WINDOW.run : undefined;
    const sample = () => firstView(browser!, url + VIEWS[name], until);
    return browser ? { name, unit: 'ms', sample } : noBrowser(name, 'ms');
  });

const VIEW_NAMES = Object.keys(VIEWS) as (keyof typeof VIEWS)[];

const wholeRun = (browser: Browser | null, { url }: Server) =>
  browser
    ? { name: WHOLE_RUN, unit: 'ms', sample: () => firstView(browser, url + VIEWS.run) }
    : noBrowser(WHOLE_RUN, 'ms');

/**
 * From the address to the page with all of its answers, or until something is there, in a browser that has
 * seen nothing of it.
 */
async function firstView(browser: Browser, url: string, until?: string): Promise<number> {
  const context = await browser.newContext();
  try {
    const page = await context.newPage();
    const start = performance.now();
    await page.goto(url);
    if (until === undefined) await settled(page);
    else await page.locator(until).first().waitFor();
    return performance.now() - start;
  } finally {
    await context.close();
  }
}

/** As a script, for the page's policy lets no text be run as one by the page itself. */
const settled = (page: Page): Promise<unknown> =>
  page.evaluate(`new Promise((resolve) => {
    const look = () => {
      const whole = document.querySelector('h1') !== null
        && document.querySelector('.state[role=status], .stale') === null
        && [...document.images].every((image) => image.complete);
      if (whole) requestAnimationFrame(() => setTimeout(resolve));
      else setTimeout(look, 1);
    };
    look();
  })`);

interface Change {
  readonly name: string;
  /** What is chosen, as a script of the page; and what takes it back. */
  readonly there: string;
  readonly back: string;
}

const choose = (label: string, value: string) => `
  const field = [...document.querySelectorAll('.filters .field')]
    .find((one) => one.textContent.startsWith(${JSON.stringify(label)})).querySelector('select, input');
  field.value = ${JSON.stringify(value)};
  field.dispatchEvent(new Event('change', { bubbles: true }));`;
const tick = (label: string) => `
  [...document.querySelectorAll('.filters .tick')]
    .find((one) => one.textContent.startsWith(${JSON.stringify(label)})).querySelector('input').click();`;

const CHANGES: readonly Change[] = [
  ...['nodes', 'age', 'evaluations', 'mini-deep'].map((key) => ({
    name: `sort by ${key}`,
    there: choose('sort by', key),
    back: choose('sort by', 'fitness'),
  })),
  { name: 'the front alone', there: tick('the front'), back: tick('the front') },
  { name: 'S alone', there: tick('S alone'), back: tick('S alone') },
  {
    name: 'evaluations',
    there: choose('evaluations', '3'),
    back: choose('evaluations', ''),
  },
  { name: 'the best', there: choose('the best', '50'), back: choose('the best', '') },
  { name: 'run', there: choose('run', '1'), back: choose('run', '') },
];

/** Milliseconds from a choice to the frame that shows what it asks for. */
const change = (page: Page, script: string): Promise<number> =>
  page.evaluate(`new Promise((resolve) => {
    const start = performance.now();
    let asked = false;
    const look = () => {
      const waits = document.querySelector('.stale') !== null;
      asked ||= waits;
      if (asked && !waits)
        requestAnimationFrame(() => setTimeout(() => resolve(performance.now() - start)));
      else setTimeout(look, 1);
    };
    ${script}
    look();
  })`) as Promise<number>;

interface Server {
  readonly url: string;
  /** The most memory that it ever had in use, in MB. */
  readonly peak: () => number;
  readonly stop: () => Promise<void>;
}

async function startServer(db: string): Promise<Server> {
  const args = [program(), 'dashboard', '--db', db, '--port', '0'];
  const child = spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'ignore'] });
  const ended = new Promise<void>((resolve) => child.on('exit', () => resolve()));
  const url = await firstLine(child);
  return {
    url,
    peak: () => {
      const status = readFileSync(`/proc/${child.pid}/status`, 'utf8');
      return (Number(/^VmHWM:\s+(\d+) kB/m.exec(status)?.[1]) * 1024) / 1e6;
    },
    stop: async () => {
      child.kill();
      await ended;
    },
  };
}

const firstLine = (child: ChildProcess): Promise<string> =>
  new Promise((resolve, reject) => {
    let text = '';
    child.stdout!.setEncoding('utf8').on('data', (part: string) => {
      text += part;
      if (text.includes('\n')) resolve(text.slice(0, text.indexOf('\n')));
    });
    child.on('exit', () => reject(new Error('the dashboard did not start')));
  });

/** Long enough that what opening a page takes is not what is measured. */
const SEARCH = ['--preset', 'quick', '--seed', '7'];
const PROPOSALS = { full: 1200, quick: 400 };

/** The same search with nobody looking, and with a browser that shows the run as it goes on. */
async function measureBeside(
  { bench, results, folder, browser }: Scene,
  proposals: number,
  rounds: number,
) {
  const boards: string[] = [];
  let count = 0;
  const searched = async (look: (db: string) => Promise<() => Promise<void>>) => {
    const db = join(folder, `beside-${count++}.db`);
    const start = performance.now();
    const args = [program(), 'search', ...SEARCH, '--proposals', String(proposals), '--db', db];
    const child = spawn(process.execPath, args, { stdio: ['ignore', 'ignore', 'pipe'] });
    const ended = new Promise<number>((resolve) =>
      child.on('exit', () => resolve((performance.now() - start) / 1000)),
    );
    await new Promise<void>((resolve) => child.stderr.once('data', () => resolve()));
    child.stderr.resume();
    const away = await look(db);
    const seconds = await ended;
    await away();
    boards.push(await foundIn(db));
    if (boards.some((board) => board !== boards[0])) throw new Error('the results differ');
    return seconds;
  };
  const contenders = [
    { name: ALONE, unit: 's', sample: () => searched(async () => async () => {}) },
    browser
      ? { name: OPEN, unit: 's', sample: () => searched((db) => lookAt(db, browser)) }
      : noBrowser(OPEN, 's'),
  ];
  await bench.measure(results, BESIDE, contenders, { rounds, warmUp: false });
}

async function lookAt(db: string, browser: Browser): Promise<() => Promise<void>> {
  const server = await startServer(db);
  const page = await browser.newPage();
  await page.goto(`${server.url}runs/1`);
  return async () => {
    await page.close();
    await server.stop();
  };
}

/** All that a run found, in its order. */
async function foundIn(db: string): Promise<string> {
  const { openStore } = await import('../../db/store.ts');
  const store = openStore(db, { readonly: true });
  try {
    return JSON.stringify(
      [...store.candidates.ofRun(1)].map(({ index, genome, outcome, fitness }) => [
        ...[index, genome, outcome, fitness],
      ]),
    );
  } finally {
    store.close();
  }
}

function report(results: Results): string {
  const rows = results.all.map(({ case: name, contender, unit, median, samples }) => [
    `${name}: ${contender}`,
    figure(median ?? Number.NaN),
    samples.length > 0 ? figure(quantile([...samples], 0.95)) : '–',
    unit,
  ]);
  const samplesOf = (name: string) =>
    results.all.filter((one) => one.case === name).flatMap(({ samples }) => [...samples]);
  const p95 = (samples: readonly number[]) =>
    samples.length > 0 ? quantile([...samples], 0.95) : Number.NaN;
  const ratios = (results.find(BESIDE, OPEN)?.samples ?? []).map(
    (seconds, i) => seconds / (results.find(BESIDE, ALONE)?.samples[i] ?? Number.NaN),
  );
  return [
    table(['', 'median', '95 %', 'unit'], rows),
    goals([
      ...(Object.keys(VIEWS) as (keyof typeof VIEWS)[]).map((name) => ({
        what: `first view of ${name}, ms`,
        measured: results.median(FIRST, name),
        ...{ wanted: ['≤', 1000] as const, show: figure },
      })),
      {
        what: 'a filter or a sort, 95 % of all, ms',
        measured: p95(samplesOf(CHANGE)),
        ...{ wanted: ['≤', 150], show: figure },
      },
      {
        what: 'memory of the server, MB',
        measured: results.median(MEMORY, 'at most'),
        ...{ wanted: ['≤', 200], show: figure },
      },
      {
        what: 'a search with an open dashboard ÷ without, median of pairs',
        measured: ratios.length > 0 ? quantile(ratios, 0.5) : Number.NaN,
        ...{ wanted: ['≤', 1.03], show: figure },
      },
    ]),
    ...missingContenders(results),
  ].join('\n');
}
