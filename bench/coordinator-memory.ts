/* Prints, as JSON, how a coordinator with a trivial evaluator changes over a long run: see `Growth`. */
import type { Store } from '../db/store.ts';
import { searchInFile, simulatedConfig, TRIVIAL } from './simulated.ts';

/** Of a run, after a warm-up of a tenth of it. */
export interface Growth {
  /** Resident memory at the end minus that after the warm-up, in MB. */
  readonly residentMB: number;
  /** Microseconds per candidate in commits, over the first tenth after the warm-up, and over the last one. */
  readonly firstCommit: number;
  readonly lastCommit: number;
  /** Candidates per second over all of it. */
  readonly perSecond: number;
}

const proposals = Number(process.argv[2]);
const tenth = proposals / 10;
const resident = () => process.memoryUsage.rss() / 2 ** 20;

let committing = 0;
/** Adds up the time that commits take. */
function timeCommits(store: Store): void {
  const commit = store.commit.bind(store);
  store.commit = (...args) => {
    const start = performance.now();
    commit(...args);
    committing += performance.now() - start;
  };
}

/** What stood at the ends of the tenths. */
const marks: { at: number; committing: number; resident: number }[] = [];
const { counts, seconds } = await searchInFile(
  simulatedConfig({ stop: { proposals: proposals + tenth }, algorithm: 'random' }),
  TRIVIAL,
  (event) => {
    if (event.type !== 'committed') return;
    const at = event.progress.counts.proposals;
    if (at >= (marks.length + 1) * tenth) marks.push({ at, committing, resident: resident() });
  },
  timeCommits,
);
const between = (from: number, to: number) => {
  const [a, b] = [marks.at(from)!, marks.at(to)!];
  return (1000 * (b.committing - a.committing)) / (b.at - a.at);
};
const growth: Growth = {
  residentMB: marks.at(-1)!.resident - marks[0]!.resident,
  firstCommit: between(0, 1),
  lastCommit: between(-2, -1),
  perSecond: counts.proposals / seconds,
};
console.log(JSON.stringify(growth));
