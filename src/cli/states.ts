import { isBeingWritten } from '../../db/lease.ts';
import type { Run } from '../../db/runs.ts';
import type { Session, Stop } from '../../db/sessions.ts';
import type { Store } from '../../db/store.ts';

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
  const runs = store.runs.list().map((run) => ({ run, sessions: store.sessions.ofRun(run.id) }));
  const running = writtenNow(runs, store.path);
  return runs.map(({ run, sessions }) => {
    const reason = sessions.at(-1)?.detail ?? null;
    const state = run.stopped ?? (run.id === running ? 'running' : 'killed');
    return { run, sessions, state, reason: run.stopped ? reason : null };
  });
}

type WithSessions = Pick<RunState, 'run' | 'sessions'>;

const lastBegun = ({ run, sessions }: WithSessions): string =>
  sessions.at(-1)?.started ?? run.started;

/** The run that somebody is working on: of those without an end, the one that was begun or resumed last. */
function writtenNow(runs: readonly WithSessions[], path: string): number | null {
  const [youngest] = runs
    .filter(({ run }) => run.stopped === null)
    .sort((a, b) => (lastBegun(a) < lastBegun(b) ? 1 : -1));
  return youngest && isBeingWritten(path) ? youngest.run.id : null;
}
