import { join } from 'node:path';
import { expect, test } from 'vitest';
import { openStore } from '../../db/store.ts';
import type { Outcome } from '../../src/eval/outcome.ts';
import { resolveProtocol } from '../../src/eval/presets.ts';
import { protocolKey } from '../../src/eval/protocol.ts';
import { genomeOf } from '../../src/graph/genome.ts';
import { ZOO } from '../../src/graph/zoo.ts';
import { runTrials, type TrialProgress } from '../../src/search/trials.ts';
import type { Job } from '../../workers/messages.ts';
import { temporaryFolder } from '../cli/process.ts';
import { FakePool, fakeOutcome } from './fake.ts';

const protocolOn = (anchor: string, fold?: number) =>
  resolveProtocol('quick', { anchors: [anchor], dataset: { fold } }, 'fake');
const PROTOCOLS = [
  protocolOn('mini-wide'),
  protocolOn('mini-deep', 1),
  protocolOn('mini-mobile', 1),
];
const CONTESTANTS = ZOO.slice(0, 4).map(({ functionalKey, layer }) => ({
  ...{ functionalKey, genome: genomeOf(layer) },
}));

/** Runs trials in a database, and tells which jobs that took. */
function trials(evaluate: (job: Job) => Outcome = fakeOutcome) {
  const store = openStore(join(temporaryFolder(), 'x.db'));
  const pools: FakePool[] = [];
  const run = async (seeds: number, more: object = {}) => {
    const openPool = () => {
      pools.push(new FakePool(3, pools.length, evaluate));
      return pools.at(-1)!;
    };
    const { signal } = new AbortController();
    const options = { store, contestants: CONTESTANTS, protocols: PROTOCOLS, seeds, workers: 3 };
    return runTrials({ ...options, signal, openPool, ...more });
  };
  return { store, run, jobs: () => pools.flatMap((pool) => pool.jobs) };
}

test('gives all contestants the same seeds, and each seed to each once', async () => {
  const { store, run, jobs } = trials();
  const heard: TrialProgress[] = [];
  expect(await run(3, { onProgress: (progress: TrialProgress) => heard.push(progress) })).toBe(0);
  expect(jobs()).toHaveLength(3 * 4 * 3);
  const seeds = new Map<string, Set<string>>();
  for (const { genome, protocol, seed } of jobs()) {
    const key = `${protocolKey(protocol)} ${JSON.stringify(genome)}`;
    seeds.set(key, (seeds.get(key) ?? new Set()).add(seed));
  }
  expect(seeds.size).toBe(12);
  for (const drawn of seeds.values())
    expect([...drawn].sort()).toEqual(['0/trial/0', '0/trial/1', '0/trial/2']);
  expect(heard[0]).toEqual({ done: 0, of: 36 });
  expect(heard.at(-1)).toEqual({ done: 36, of: 36 });
  for (const { genome, protocol, seed } of jobs()) {
    const contestant = CONTESTANTS.find((one) => one.genome === genome)!;
    const place = { protocolKey: protocolKey(protocol), functionalKey: contestant.functionalKey };
    const stored = store.trials.outcome({ ...place, seed: Number(seed.split('/').at(-1)) });
    // Time is of the row, not of the outcome.
    const given = JSON.stringify(fakeOutcome({ genome, protocol, seed }));
    expect(stored).toEqual(JSON.parse(given.replaceAll('"seconds":0.5', '"seconds":0')));
  }
  store.close();
});

test('goes on where it was interrupted, and makes only what is missing', async () => {
  const { store, run, jobs } = trials();
  const controller = new AbortController();
  const onProgress = ({ done }: TrialProgress) => {
    if (done === 7) controller.abort('SIGINT');
  };
  await expect(run(2, { signal: controller.signal, onProgress })).rejects.toBe('SIGINT');
  const before = jobs().length;
  let first: TrialProgress | null = null;
  await run(2, { onProgress: (progress: TrialProgress) => (first ??= progress) });
  expect(first!.done).toBeGreaterThanOrEqual(7);
  expect(jobs().length - before).toBe(24 - first!.done);
  await run(3);
  expect(jobs().length - before).toBe(36 - first!.done);
  store.close();
});

test('stores what diverged, and not what was the machine’s fault', async () => {
  let late = true;
  const timeout: Outcome = { outcome: 'timeout', anchor: 'mini-wide', step: 3, seconds: 60 };
  const diverged: Outcome = { outcome: 'diverged', anchor: 'mini-wide', step: 3 };
  const { store, run, jobs } = trials(({ seed }) =>
    late && seed.endsWith('1') ? timeout : diverged,
  );
  expect(await run(2)).toBe(12);
  late = false;
  const before = jobs().length;
  expect(await run(2)).toBe(0);
  expect(jobs().length - before).toBe(12);
  store.close();
});
