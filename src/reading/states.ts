import { isBeingWritten } from '../../db/lease.ts';
import type { Run } from '../../db/runs.ts';
import type { Session, Stop } from '../../db/sessions.ts';
import type { Store } from '../../db/store.ts';
import type { SearchConfig } from '../search/config.ts';

export interface RunState {
  readonly run: Run;
  readonly sessions: readonly Session[];
  /** `killed`: its last session ended without a word. */
  readonly state: Stop | 'running' | 'killed';
  /** Why the last session ended, where it could say so. */
  readonly reason: string | null;
}

/** All runs of a database with what became of them, oldest first. */
export function runStates(store: Store): RunState[] {
  const running = writtenNow(store);
  return store.runs.list().map((run) => stateOf(store, run, running));
}

/** One run, without the counts of all others; null where it is not there. */
export function runState(store: Store, id: number): RunState | null {
  const run = store.runs.byId(id);
  return run && stateOf(store, run, writtenNow(store));
}

/** A line of the list of runs. */
export function runRowOf({ run, sessions, state, reason }: RunState) {
  const { id, started, proposals, evaluated, bestFitness: best, seconds, protocolKey } = run;
  const config = run.config as SearchConfig;
  const { stop, seed, algorithm } = config;
  return {
    ...{ id, started, state, reason, proposals, total: stop.proposals, evaluated, best, seconds },
    ...{ sessions: sessions.length, seed, algorithm, protocol: protocolKey, config },
  };
}

function stateOf(store: Store, run: Run, running: number | null): RunState {
  const sessions = store.sessions.ofRun(run.id);
  const reason = sessions.at(-1)?.detail ?? null;
  const state = run.stopped ?? (run.id === running ? 'running' : 'killed');
  return { run, sessions, state, reason: run.stopped ? reason : null };
}

/** The run that somebody is working on: of those without an end, the one that was begun or resumed last. */
export function writtenNow({ runs, sessions, path }: Store): number | null {
  const [youngest] = runs
    .open()
    .map(({ id, started }) => ({ id, begun: sessions.ofRun(id).at(-1)?.started ?? started }))
    .sort((a, b) => (a.begun < b.begun ? 1 : -1));
  return youngest && isBeingWritten(path) ? youngest.id : null;
}
