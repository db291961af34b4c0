import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { Candidate } from '../../db/candidates.ts';
import { openStore } from '../../db/store.ts';
import { runSearch } from '../../src/search/run.ts';
import type { StopSettings } from '../../src/search/stop.ts';
import { configOf, FakePool, searchIn, trajectory } from './fake.ts';
import { FakeClock } from './time.ts';

const PROPOSALS = 150;
/** Besides the proposals themselves. */
type Condition = Omit<StopSettings, 'proposals'>;

/** How many proposals a run of these candidates has when `condition` holds for the first time; by its definition. */
function endOf(candidates: readonly Candidate[], condition: Condition): number {
  const proposals = candidates.filter(({ index }) => index >= 0);
  for (let n = 1; n <= proposals.length; n++) {
    const made = proposals.slice(0, n);
    const fitnesses = made.map(({ fitness }) => fitness ?? Number.NEGATIVE_INFINITY);
    const top = Math.max(...fitnesses);
    const trained = made.filter((c) => c.repeat !== null && c.fitness !== null).length;
    const sinceBest = Number.isFinite(top) ? n - 1 - fitnesses.indexOf(top) : n;
    if (condition.fitness !== undefined && top >= condition.fitness) return n;
    if (condition.evaluations !== undefined && trained >= condition.evaluations) return n;
    if (condition.patience !== undefined && sinceBest >= condition.patience) return n;
  }
  return proposals.length;
}

const conditions: fc.Arbitrary<Condition> = fc.oneof(
  fc.record({ evaluations: fc.integer({ min: 1, max: 20 }) }),
  fc.record({ fitness: fc.double({ min: 0.3, max: 1, noNaN: true }) }),
  fc.record({ patience: fc.integer({ min: 1, max: 60 }) }),
  fc.record({
    fitness: fc.double({ min: 0.6, max: 1, noNaN: true }),
    patience: fc.integer({ min: 20, max: 60 }),
  }),
);

describe('a run that stops', () => {
  test('ends with the proposal that fulfils the condition, and goes on as if it had never stopped', async () => {
    const whole = (await searchIn({ config: configOf() })).candidates;
    await fc.assert(
      fc.asyncProperty(conditions, fc.integer({ min: 1, max: 6 }), async (condition, workers) => {
        const stop = { proposals: PROPOSALS, ...condition };
        const stopped = await searchIn({ config: configOf({ stop }), pool: new FakePool(workers) });
        const end = endOf(whole, condition);
        expect(stopped.candidates).toEqual(whole.slice(0, end + 2));
        expect(stopped.summary).toMatchObject({ stopped: 'finished', counts: { proposals: end } });
        if (end === PROPOSALS) return;
        const { store } = stopped;
        const { runId } = stopped.summary;
        await runSearch({ config: configOf(), store, pool: new FakePool(workers, 1), runId });
        expect(trajectory(store, runId)).toEqual(whole);
      }),
      { numRuns: 12 },
    );
  });

  test.each([
    [{ evaluations: 3 }, 'evaluations', '3 trained to the end'],
    [{ fitness: 0.1 }, 'fitness', 'the target of 0.1 is reached'],
    [{ patience: 5 }, 'patience', '5 proposals without a better one'],
    [{}, 'proposals', '150 proposals'],
  ] as const)('says why: %j', async (condition, name, detail) => {
    const config = configOf({ stop: { proposals: PROPOSALS, ...condition } });
    const { summary, store } = await searchIn({ config });
    expect(summary).toMatchObject({ stopped: 'finished', condition: name, detail });
    expect(store.sessions.ofRun(1)).toMatchObject([{ stopped: 'finished', detail }]);
  });

  test('is out of time once its sessions together took that long; more time lets it go on', async () => {
    const whole = (await searchIn({ config: configOf() })).candidates;
    const store = openStore(':memory:');
    const config = configOf({ stop: { proposals: PROPOSALS, seconds: 10 } });
    const session = async (runId?: number, interruptAt = Number.POSITIVE_INFINITY) => {
      const clock = new FakeClock();
      const controller = new AbortController();
      const onEvent = ({ type }: { type: string }) => {
        if (type === 'committed') clock.advance(1000);
        if (clock.now() >= interruptAt) controller.abort('SIGINT');
      };
      const { signal } = controller;
      const given = { config, store, signal, clock, onEvent, pool: new FakePool(2) };
      return runSearch(runId === undefined ? given : { ...given, runId });
    };
    const first = await session(undefined, 4000);
    expect(first).toMatchObject({ stopped: 'interrupted', condition: null, detail: 'SIGINT' });
    const second = await session(1);
    const time = { condition: 'seconds', detail: '10 s were over', seconds: 10 };
    expect(second).toMatchObject({ stopped: 'finished', ...time });
    const stored = trajectory(store, 1);
    expect(stored.length).toBeLessThan(whole.length);
    expect(stored).toEqual(whole.slice(0, stored.length));
    expect(store.sessions.ofRun(1)).toMatchObject([
      { number: 1, seconds: 4, stopped: 'interrupted', detail: 'SIGINT' },
      { number: 2, seconds: 6, stopped: 'finished', detail: '10 s were over' },
    ]);
    await expect(session(1)).rejects.toThrow('needs more, such as --time 20s');
    await runSearch({ config: configOf(), store, pool: new FakePool(2), runId: 1 });
    expect(trajectory(store, 1)).toEqual(whole);
  });
});
