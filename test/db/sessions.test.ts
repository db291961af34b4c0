import { describe, expect, test } from 'vitest';
import type { Fault } from '../../db/faults.ts';
import { openStore } from '../../db/store.ts';
import { beginRun, settled, TIME } from './records.ts';

const NOTHING = { seconds: 0, screening: 0, probes: 0, neutral: 0, tabu: 0 };
const started = '2026-01-01T00:00:00.000Z';

const fault = (index: number | null, message: string): Fault => ({
  ...{ index, message, at: '2026-01-01T00:00:01.000Z', kind: 'thread' },
});

describe('sessions', () => {
  test('count from 1 in each run, and are brought up to date by every commit', () => {
    const store = openStore(':memory:');
    const [a, b] = [beginRun(store), beginRun(store)];
    const begin = (run: typeof a, workers: number) =>
      store.beginSession(run, { started, workers, config: { seed: 7 } });
    expect([begin(a, 2), begin(b, 4), begin(a, 3)]).toEqual([1, 1, 2]);
    const spent = { seconds: 5, screening: 1.5, probes: 7, neutral: 11, tabu: 13 };
    const session = { number: 2, ...spent };
    store.commit(a, [settled(0)], { ...TIME, seconds: 25, session });
    const [first, second] = store.sessions.ofRun(a.id);
    const open = { run: a.id, started, ended: null, stopped: null, detail: null };
    expect(first).toEqual({ ...open, number: 1, ...NOTHING, workers: 2 });
    expect(second).toEqual({ ...open, ...session, workers: 3 });
    expect(store.runs.byId(a.id)?.seconds).toBe(25);
    expect(store.sessions.ofRun(b.id)).toMatchObject([{ workers: 4, ...NOTHING }]);
  });

  test('end in some way, for a reason; the run takes that over until the next one begins', () => {
    const store = openStore(':memory:');
    const run = beginRun(store);
    const begin = (config: object) => store.beginSession(run, { started, workers: 1, config });
    const spent = { seconds: 2, screening: 0.25, probes: 3, neutral: 4, tabu: 5 };
    const session = { number: begin({ seed: 7 }), ...spent };
    store.stop(run, 'failed', { ...TIME, session, detail: 'The disk is full.' });
    expect(store.runs.byId(run.id)?.stopped).toBe('failed');
    const ended = { ...session, ended: TIME.at, stopped: 'failed', detail: 'The disk is full.' };
    expect(store.sessions.ofRun(run.id)).toMatchObject([ended]);
    expect(begin({ seed: 7, stop: 9 })).toBe(2);
    expect(store.runs.byId(run.id)).toMatchObject({ stopped: null, config: { seed: 7, stop: 9 } });
    expect(store.sessions.ofRun(run.id)).toMatchObject([ended, { ended: null }]);
  });
});

describe('faults', () => {
  test('go along with a commit, all or none, and with the end of a session', () => {
    const store = openStore(':memory:');
    const [run, other] = [beginRun(store), beginRun(store)];
    const faults = [fault(3, 'out of luck'), fault(null, 'nobody there')];
    store.commit(run, [settled(0)], { ...TIME, faults });
    const twice = [settled(1), settled(1)];
    const lost = { ...TIME, faults: [fault(1, 'lost')] };
    expect(() => store.commit(run, twice, lost)).toThrow(/UNIQUE/);
    store.stop(run, 'finished', { ...TIME, faults: [fault(4, 'late')] });
    expect(store.faults.ofRun(run.id)).toEqual([...faults, fault(4, 'late')]);
    expect(store.faults.ofRun(other.id)).toEqual([]);
  });
});
