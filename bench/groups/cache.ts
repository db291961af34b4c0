import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { quantile } from 'simple-statistics';
import { openStore, type Store } from '../../db/store.ts';
import { protocolKey } from '../../src/eval/protocol.ts';
import type { SearchConfig } from '../../src/search/config.ts';
import { Flight } from '../../src/search/flight.ts';
import { Funnel } from '../../src/search/funnel.ts';
import { runSearch } from '../../src/search/run.ts';
import type { Bench, Group } from '../context.ts';
import { fillFunctions, type Known, sampleKnown } from '../million.ts';
import type { Results } from '../results.ts';
import { simulatedConfig, TRIVIAL } from '../simulated.ts';
import { figure, goals, missingContenders, table } from '../table.ts';

const FUNCTIONS = { full: 1_000_000, quick: 100_000 };
const LOOK_UPS = 20_000;
const ROUNDS = { full: 5, quick: 3 };

/** A database that many runs share. */
export const cache: Group = {
  name: 'cache',
  doc: 'a run on a database of 1,000,000 functions (--quick: 100,000): looking proposals up, and beginning',
  run,
  report,
};

const LOOK_UP = 'look-up';
const WHERE = { hits: 1, misses: 0, 'half of each': 0.5 } as const;
const QUANTILES = { median: 0.5, '99 %': 0.99 } as const;

const START = 'start';
const EMPTY = 'an empty database';
const DEFAULT = 'default capacity';
/** More than there are: nothing is forgotten. */
const WHOLE = 'all remembered';

async function run(bench: Bench, results: Results): Promise<void> {
  const size = bench.settings.quick ? 'quick' : 'full';
  const folder = mkdtempSync(join(tmpdir(), 'evolayer-bench-'));
  try {
    const path = join(folder, 'full.db');
    fillFunctions(path, FUNCTIONS[size], configOf(DEFAULT));
    if (bench.wants(LOOK_UP)) await measureLookUps(bench, results, path);
    if (bench.wants(START)) await measureStart(bench, results, folder, path, ROUNDS[size]);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

const configOf = (memory: string): SearchConfig =>
  simulatedConfig(memory === WHOLE ? { cache: { capacity: 2 * FUNCTIONS.full } } : {});

async function measureLookUps(bench: Bench, results: Results, path: string): Promise<void> {
  const known = sampleKnown(path, LOOK_UPS);
  const store = openStore(path);
  try {
    const taken = new Map<string, number[]>();
    const contenders = Object.entries(WHERE).flatMap(([where, share]) =>
      Object.entries(QUANTILES).map(([name, q]) => ({
        ...{ name: `${where}, ${name}`, unit: 'µs' },
        sample: () => {
          // The quantiles of one pass.
          if (q === 0.5) taken.set(where, lookUps(store, known, share));
          return quantile(taken.get(where)!, q);
        },
      })),
    );
    await bench.measure(results, LOOK_UP, contenders, { rounds: 3 });
  } finally {
    store.close();
  }
}

/** Microseconds of each look-up, of a proposal that is there or new. */
function lookUps(store: Store, known: readonly Known[], share: number): number[] {
  const config = configOf(WHOLE);
  const { protocol } = config;
  const key = protocolKey(protocol);
  const run = store.begin({ started: '2026', config, protocolKey: key, protocol });
  const funnel = new Funnel({ store, run, config });
  const flight = new Flight(() => {});
  const view = { ...run, mantissaBits: config.cache.mantissaBits };
  return known.map(({ structuralKey, functionalKey }, index) => {
    const isHit = (index * 0.618) % 1 < share;
    const identity = isHit
      ? { structuralKey, functionalKey, recognised: true }
      : {
          structuralKey: `new ${structuralKey}`,
          ...{ functionalKey: `new ${functionalKey}`, recognised: false },
        };
    const proposal = { genome: { nodes: [] }, origin: { kind: 'random' }, identity } as const;
    const start = performance.now();
    store.candidates.knownStructure(identity.structuralKey, view);
    const { next } = funnel.screen(index, proposal, flight);
    const taken = 1000 * (performance.now() - start);
    if ((next === 'take over') !== isHit) throw new Error(`${next} where isHit is ${isHit}`);
    return taken;
  });
}

async function measureStart(
  bench: Bench,
  results: Results,
  folder: string,
  path: string,
  rounds: number,
): Promise<void> {
  let number = 0;
  const contenders = [
    [EMPTY, DEFAULT],
    [DEFAULT, DEFAULT],
    [WHOLE, WHOLE],
  ].map(([name, memory]) => ({
    ...{ name: name as string, unit: 'ms' },
    sample: () => start(name === EMPTY ? join(folder, `${number++}.db`) : path, memory as string),
  }));
  await bench.measure(results, START, contenders, { rounds });
}

/** Milliseconds until a new run has committed its known layers and a proposal. */
async function start(path: string, memory: string): Promise<number> {
  const config = { ...configOf(memory), stop: { proposals: 1 } };
  const begin = performance.now();
  const store = openStore(path);
  await runSearch({ config, store, pool: TRIVIAL });
  const taken = performance.now() - begin;
  store.close();
  return taken;
}

function report(results: Results): string {
  const rows = results.all.map(({ case: name, contender, unit, median }) => [
    `${name}: ${contender}`,
    figure(median ?? Number.NaN),
    unit,
  ]);
  const later = (contender: string) =>
    (results.median(START, contender) - results.median(START, EMPTY)) / 1000;
  return [
    table(['', 'median', 'unit'], rows),
    goals([
      {
        what: '99 % of look-ups, µs',
        measured: results.median(LOOK_UP, 'half of each, 99 %'),
        ...{ wanted: ['≤', 1000], show: figure },
      },
      ...[DEFAULT, WHOLE].map((memory) => ({
        what: `start, ${memory}: seconds later than on an empty database`,
        ...{ measured: later(memory), wanted: ['≤', 1] as const, show: figure },
      })),
    ]),
    ...missingContenders(results),
  ].join('\n');
}
