import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { openStore } from '../../db/store.ts';
import type { Outcome, Rejection } from '../../src/eval/outcome.ts';
import { beginRun, evaluated, inFolder, settled, TIME } from './records.ts';

const everything = Number.MAX_SAFE_INTEGER;

describe('candidates', () => {
  test('come back as they were committed, but for the time they took', () => {
    const store = openStore(':memory:');
    const run = beginRun(store);
    const rejections: Rejection[] = [
      { outcome: 'constant' },
      { outcome: 'low-quality', anchor: 'a', step: 100, accuracy: 0.1, minAccuracy: 0.3 },
      { outcome: 'unstable', anchor: 'a', ascentStep: 4, gradientNorm: Number.POSITIVE_INFINITY },
      { outcome: 'unstable', anchor: 'a', ascentStep: 4, gradientNorm: Number.NaN },
      { outcome: 'crashed', message: '#NaN of "quotes"' },
    ];
    const all = [
      settled(-1, { origin: { kind: 'baseline', name: 'BN-ReLU' } }),
      settled(0, {
        genome: {
          nodes: [
            { op: 'mean', args: [0], index: 'whc/g' },
            { op: 'exp', args: [4] },
          ],
        },
      }),
      settled(1, { origin: { kind: 'mutation', parent: 0 }, tier: 'functional', repeat: null }),
      ...rejections.map((outcome, i) => settled(2 + i, { outcome })),
    ];
    store.commit(run, all, TIME);
    const timeless = all.map(({ evaluation, audit: _, ...candidate }) => ({
      ...candidate,
      repeat: evaluation?.repeat ?? null,
      outcome:
        candidate.outcome.outcome === 'evaluated' ? withoutTime(0.5, 0.7) : candidate.outcome,
    }));
    expect([...store.candidates.ofRun(run.id)]).toEqual(timeless);
    expect(store.candidates.at(run.id, 0)).toEqual(timeless[1]);
    expect(store.candidates.at(run.id, 99)).toBeNull();
    expect(store.candidates.lastIndex(run.id)).toBe(6);
  });

  test('are committed all or none', () => {
    const store = openStore(':memory:');
    const run = beginRun(store);
    store.commit(run, [settled(0)], TIME);
    expect(() => store.commit(run, [settled(1), settled(0)], TIME)).toThrow(/UNIQUE/);
    expect([...store.candidates.ofRun(run.id)].map(({ index }) => index)).toEqual([0]);
    expect(store.evaluations.ofFunction('p1', 'f1')).toEqual([]);
  });

  test('of a structure are known to their run, and to later runs', () => {
    const store = openStore(':memory:');
    const first = beginRun(store);
    store.commit(first, [settled(0)], TIME);
    const second = beginRun(store);
    const outcome = { outcome: 'constant' } as const;
    store.commit(first, [settled(1, { functionalKey: null, repeat: null, outcome })], TIME);
    const known = (key: string, run: typeof first) =>
      store.candidates.knownStructure(key, { ...run, mantissaBits: 20 });
    expect(known('s0', first)).toEqual({ functionalKey: 'f0', outcome: 'evaluated' });
    expect(known('s1', first)).toEqual({ functionalKey: null, outcome: 'constant' });
    expect(known('s0', second)).toEqual({ functionalKey: 'f0', outcome: 'evaluated' });
    expect(known('s1', second)).toBeNull();
  });
});

const withoutTime = (...accuracies: number[]) => {
  const outcome = evaluated(...accuracies);
  if (outcome.outcome !== 'evaluated') throw new Error('expected scores');
  return { ...outcome, perAnchor: outcome.perAnchor.map((score) => ({ ...score, seconds: 0 })) };
};

describe('the cache', () => {
  const once = (outcome: Outcome) => ({ outcome, evaluations: 1, repeat: 0 });

  test('knows the mean of what candidates caused, or the first rejection, but not what was added', () => {
    const store = openStore(':memory:');
    const [a, b] = [beginRun(store), beginRun(store)];
    const of = (repeat: number | null, outcome: Outcome) => ({
      ...{ functionalKey: 'f', repeat, outcome },
    });
    store.commit(a, [settled(0, of(0, evaluated(0.5, 0.75)))], TIME);
    const added = { protocolKey: 'p1', functionalKey: 'f', at: TIME.at, seconds: 1 };
    store.saveEvaluation({ ...added, repeat: 1, outcome: evaluated(0.25, 0.25) });
    const known = (horizon = everything) => store.evaluations.known('p1', 'f', horizon);
    expect(known()).toEqual(once(withoutTime(0.5, 0.75)));
    // Both runs evaluate it; what the first one found stays, what was only saved becomes the other one's.
    store.commit(b, [settled(0, of(0, evaluated(0, 0)))], TIME);
    store.commit(b, [settled(1, of(1, evaluated(0.35, 0.25)))], TIME);
    expect(known(2)).toEqual(once(withoutTime(0.5, 0.75)));
    const both = { evaluations: 2, repeat: 1, outcome: withoutTime(0.425, 0.5) };
    expect(known()).toEqual(both);
    const low = { outcome: 'diverged', anchor: 'a', step: 1 } as const;
    store.commit(b, [settled(2, of(3, low)), settled(3, of(2, { ...low, step: 2 }))], TIME);
    const rejected = { evaluations: 4, repeat: 3, outcome: { ...low, step: 2 } };
    expect(known()).toEqual(rejected);
  });

  test('knows how an evaluation ended, under its protocol and up to the horizon', () => {
    const store = openStore(':memory:');
    const run = beginRun(store);
    const low = {
      outcome: 'low-quality',
      anchor: 'a',
      step: 1,
      accuracy: 0,
      minAccuracy: 1,
    } as const;
    store.commit(run, [settled(0), settled(1, { outcome: low })], TIME);
    expect(store.evaluations.known('p1', 'f0', everything)).toEqual(once(withoutTime(0.5, 0.7)));
    expect(store.evaluations.known('p1', 'f1', everything)).toEqual(once(low));
    expect(store.evaluations.known('p2', 'f0', everything)).toBeNull();
    expect(store.evaluations.known('p1', 'f0', run.horizon)).toBeNull();
    expect(store.evaluations.known('p1', 'f1', run.horizon)).toBeNull();
    const later = beginRun(store);
    expect(store.evaluations.known('p1', 'f1', later.horizon)).toEqual(once(low));
  });

  test('does not hold timeouts and crashes against a function', () => {
    const store = openStore(':memory:');
    const run = beginRun(store);
    const timeout = { outcome: 'timeout', anchor: 'a', step: 1, seconds: 60 } as const;
    const crashed = { outcome: 'crashed', message: 'no memory' } as const;
    const both = [settled(0, { outcome: timeout }), settled(1, { outcome: crashed })];
    store.commit(run, both, TIME);
    expect(store.evaluations.known('p1', 'f0', everything)).toBeNull();
    expect(store.evaluations.known('p1', 'f1', everything)).toBeNull();
  });

  test('keeps training curves with the scores that they belong to, and not with candidates', () => {
    const store = openStore(':memory:');
    const run = beginRun(store);
    const of = (curve: number[]): Outcome => ({
      outcome: 'evaluated',
      perAnchor: [{ ...{ anchor: 'a', accuracy: 0.1, loss: 2, steps: 2, seconds: 3 }, curve }],
    });
    const proposal = (index: number, repeat: number, curve: number[]) =>
      settled(index, { functionalKey: 'f', repeat, outcome: of(curve) });
    const kept = () => store.history.ofFunction('f', { curves: true }).map((one) => one.outcome);
    store.commit(run, [proposal(0, 0, [2.5, 1e-4])], TIME);
    const added = { protocolKey: 'p1', functionalKey: 'f', at: TIME.at, seconds: 1 };
    store.saveEvaluation({ ...added, repeat: 0, outcome: of([9, 9]) });
    store.saveEvaluation({ ...added, repeat: 1, outcome: of([7, 7]) });
    expect(kept()).toEqual([of([2.5, 1e-4]), of([7, 7])]);
    store.commit(run, [proposal(1, 1, [2.75, 1234])], TIME);
    expect(kept()).toEqual([of([2.5, 1e-4]), of([2.75, 1234])]);
    expect(JSON.stringify([...store.candidates.ofRun(run.id)])).not.toContain('curve');
  });

  test('keeps the scores with their times and losses', () => {
    const store = openStore(':memory:');
    const run = beginRun(store);
    const score = { anchor: 'a', accuracy: 0.1, loss: Number.NaN, steps: 9, seconds: 3 };
    const outcome = { outcome: 'evaluated', perAnchor: [score] } as const;
    store.commit(run, [settled(4, { outcome })], TIME);
    const place = {
      protocolKey: 'p1',
      functionalKey: 'f4',
      repeat: 0,
      run: 1,
      index: 4,
      at: TIME.at,
    };
    expect(store.evaluations.ofFunction('p1', 'f4')).toEqual([{ ...score, ...place }]);
  });
});

describe('runs', () => {
  test('are listed with what they have done', () => {
    const store = openStore(':memory:');
    const run = beginRun(store);
    expect(run).toMatchObject({ id: 1, proposals: 0, evaluated: 0, bestFitness: null, seconds: 0 });
    const baseline = settled(-1, {
      ...{ origin: { kind: 'baseline', name: 'ReLU' }, outcome: evaluated(0.9, 0.9), fitness: 0.9 },
    });
    store.commit(run, [baseline, settled(0), settled(1, { outcome: { outcome: 'constant' } })], {
      ...TIME,
      seconds: 12,
    });
    const [listed] = store.runs.list();
    expect(listed).toMatchObject({ proposals: 2, evaluated: 1, bestFitness: 0.6, seconds: 12 });
    expect(listed).toMatchObject({ stopped: null, config: { seed: 7 }, protocolKey: 'p1' });
    store.stop(run, 'finished', { ...TIME, seconds: 13 });
    expect(store.runs.byId(1)).toMatchObject({ stopped: 'finished', seconds: 13 });
    expect(store.runs.byId(2)).toBeNull();
    expect(store.runs.protocol('p1')).toEqual({ steps: 300 });
    expect(store.runs.protocols()).toEqual([{ key: 'p1', protocol: { steps: 300 } }]);
  });
});

describe('the leaderboard', () => {
  const filled = () => {
    const store = openStore(':memory:');
    const a = beginRun(store);
    const origin = { kind: 'baseline', name: 'BN-ReLU' } as const;
    store.commit(
      a,
      [
        settled(-1, { origin, functionalKey: 'bn', outcome: evaluated(0.8, 0.8) }),
        settled(0, { functionalKey: 'good', outcome: evaluated(0.9, 0.7) }),
        settled(1, { functionalKey: 'best', outcome: evaluated(0.9, 0.95) }),
        settled(2, {
          functionalKey: 'best',
          outcome: evaluated(0.9, 0.95),
          repeat: null,
          tier: 'functional',
        }),
        settled(3, {
          functionalKey: 'bn',
          outcome: evaluated(0.8, 0.8),
          repeat: null,
          tier: 'functional',
        }),
        settled(4, { outcome: { outcome: 'constant' }, functionalKey: null, repeat: null }),
      ],
      TIME,
    );
    const b = beginRun(store);
    store.commit(b, [settled(0, { functionalKey: 'other', outcome: evaluated(0.1, 0.2) })], TIME);
    store.commit(
      b,
      [
        settled(1, {
          functionalKey: 'good',
          outcome: evaluated(0.9, 0.7),
          repeat: null,
          tier: 'functional',
        }),
      ],
      TIME,
    );
    const c = beginRun(store, 'p2');
    store.commit(c, [settled(0, { functionalKey: 'good', outcome: evaluated(0.99, 0.99) })], TIME);
    return store;
  };
  const brief = (rows: ReturnType<ReturnType<typeof openStore>['leaderboard']['top']>) =>
    rows.map((row) => [row.functionalKey, row.run, row.candidate.index, row.baseline]);

  test('has each function once, best first, with its first candidate and its name', () => {
    const rows = filled().leaderboard.top({ protocolKey: 'p1', top: 10 });
    expect(brief(rows)).toEqual([
      ['best', 1, 1, null],
      ['bn', 1, 3, 'BN-ReLU'],
      ['good', 1, 0, null],
      ['other', 2, 0, null],
    ]);
    expect(rows[0]?.evaluations).toEqual([[0.9, 0.95]]);
  });

  test('keeps the baselines in their places where it is short', () => {
    const rows = filled().leaderboard.top({ protocolKey: 'p1', top: 1 });
    expect(rows.map(({ rank, of, functionalKey }) => [rank, of, functionalKey])).toEqual([
      [1, 4, 'best'],
      [2, 4, 'bn'],
    ]);
  });

  test('can be of one run and of one protocol', () => {
    const store = filled();
    const rows = (query: object) =>
      brief(store.leaderboard.top({ protocolKey: 'p1', top: 9, ...query }));
    expect(rows({ run: 2 })).toEqual([
      ['good', 2, 1, null],
      ['other', 2, 0, null],
    ]);
    expect(rows({ protocolKey: 'p2' })).toEqual([['good', 3, 0, null]]);
    expect(rows({ protocolKey: 'p3' })).toEqual([]);
  });
});

describe('readers', () => {
  test('never see a half commit, and one snapshot stays as it is', () =>
    inFolder((folder) => {
      const path = join(folder, 'a.db');
      const writer = openStore(path);
      const run = beginRun(writer);
      const reader = openStore(path, { readonly: true });
      const seen = () => reader.candidates.lastIndex(run.id);
      // Looked at from inside the writer's transaction, between its second and third row.
      const batch = [settled(0), settled(1), settled(2)];
      Object.defineProperty(batch, 2, {
        get: () => {
          expect(seen()).toBeNull();
          return settled(2);
        },
      });
      writer.commit(run, batch, TIME);
      expect(seen()).toBe(2);
      reader.snapshot(() => {
        expect(seen()).toBe(2);
        writer.commit(run, [settled(3)], TIME);
        expect(seen()).toBe(2);
      });
      expect(seen()).toBe(3);
      expect.assertions(5);
      reader.close();
      writer.close();
    }));
});
