import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { openStore } from '../../db/store.ts';
import { TabuList } from '../../src/search/tabu.ts';
import { beginRun, settled, TIME } from '../db/records.ts';

/** Few functions that come back; null for proposals without one. */
const functions = fc.array(fc.constantFrom('a', 'b', 'c', 'd', null), { maxLength: 60 });

describe('the tabu list', () => {
  test('knows how often a run has proposed a function, however little it remembers', () => {
    const limits = fc.integer({ min: 1, max: 5 });
    fc.assert(
      fc.property(
        functions,
        limits,
        fc.integer({ min: 1, max: 3 }),
        fc.nat(),
        (keys, limit, remembered, cut) => {
          const store = openStore(':memory:');
          const [run, other] = [beginRun(store), beginRun(store)];
          const proposal = (index: number, functionalKey: string | null) =>
            settled(
              index,
              functionalKey === null
                ? { functionalKey, repeat: null, outcome: { outcome: 'constant' } }
                : { functionalKey, repeat: null },
            );
          store.commit(
            other,
            [0, 1, 2].map((i) => proposal(i, 'a')),
            TIME,
          );
          store.commit(run, [proposal(-1, 'a')], TIME);
          const flying: { index: number; key: string | null }[] = [];
          const inFlight = {
            timesProposed: (key: string) => flying.filter((f) => f.key === key).length,
          };
          const list = () =>
            new TabuList({ store, run, config: { tabu: { limit, attempts: 1 } }, remembered });
          let tabu = list();
          keys.forEach((key, i) => {
            for (const asked of [key, 'a', key])
              expect(tabu.has(asked, inFlight)).toBe(
                asked !== null && keys.slice(0, i).filter((k) => k === asked).length >= limit,
              );
            tabu.count(key);
            flying.push({ index: i, key });
            if (i % 3 === cut % 3)
              store.commit(
                run,
                flying.splice(0).map(({ index, key }) => proposal(index, key)),
                TIME,
              );
            // As if the run went on in another session, whose flight is empty.
            if (flying.length === 0 && i % 5 === cut % 5) tabu = list();
          });
          store.close();
        },
      ),
      { numRuns: 40 },
    );
  });

  test('is empty where there is no limit', () => {
    const store = openStore(':memory:');
    const tabu = new TabuList({
      store,
      run: beginRun(store),
      config: { tabu: { limit: 0, attempts: 9 } },
    });
    expect(tabu.has('a', { timesProposed: () => 100 })).toBe(false);
  });
});
