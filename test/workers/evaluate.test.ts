import { expect, test } from 'vitest';
import { openStore } from '../../db/store.ts';
import { UserError } from '../../src/errors.ts';
import { nativeEngine } from '../../src/eval/native/engine.ts';
import { resolveSearchConfig } from '../../src/search/config.ts';
import { hostPool } from '../../src/search/pool.ts';
import { runSearch } from '../../src/search/run.ts';
import { trajectory } from '../search/fake.ts';

const dataset = { name: 'fashion-mnist', pool: 4 };

/** A search that trains for real, a few steps. */
const configOf = (numerics: string) =>
  resolveSearchConfig({
    numerics,
    flags: {
      ...{
        seed: 7,
        stop: { proposals: 60 },
        lookahead: 16,
        baselines: ['EvoNorm-B0', 'ReLU'],
        warmStart: [],
      },
      protocol: {
        ...{ dataset: { pool: 4, validation: 200 }, batch: 8, steps: 12 },
        quality: { steps: 6, images: 100, minAccuracy: 0.05 },
      },
    },
  });

test('a search with real training is the same with one worker and with two', async () => {
  const config = configOf(nativeEngine().numerics);
  const results = [];
  for (const workers of [1, 2]) {
    const store = openStore(':memory:');
    const pool = hostPool({ dataset, workers });
    const { runId, counts } = await runSearch({ config, store, pool });
    await pool.close();
    results.push({ counts, candidates: trajectory(store, runId) });
  }
  expect(results[1]).toEqual(results[0]);
  expect(results[0]?.counts.proposals).toBe(60);
  expect(results[0]?.counts.evaluated).toBeGreaterThan(0);
});

test('an engine that does not run here ends the run with a sentence', async () => {
  const pool = hostPool({ dataset, workers: 1 });
  const run = runSearch({ config: configOf('native/sve'), store: openStore(':memory:'), pool });
  await expect(run).rejects.toBeInstanceOf(UserError);
  await expect(run).rejects.toThrow(
    'The arithmetic native/sve cannot be had with this version on this machine',
  );
  await pool.close();
});
