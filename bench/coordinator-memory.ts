/* Prints, as JSON, how a coordinator with a trivial evaluator changes over a long run: see `Growth`. */
import { median } from 'simple-statistics';
import type { Store } from '../db/store.ts';
import { searchInFile, simulatedConfig, TRIVIAL } from './simulated.ts';

/** Of a run, after a warm-up of a tenth of it. */
export interface Growth {
  /** Resident memory at the end minus that after the warm-up, in MB. */
  readonly residentMB: number;
  /** Median of the microseconds per candidate of a commit, over the first tenth after the warm-up, and over the last one. */
  readonly firstCommit: number;
  readonly lastCommit: number;
  /** Candidates per second over all of it. */
  readonly perSecond: number;
}

const proposals = Number(process.argv[2]);
const tenth = proposals / 10;
const resident = () => process.memoryUsage.rss() / 2 ** 20;

/** Microseconds per candidate of the commits since the last tenth was over. */
let samples: number[] = [];
function timeCommits(store: Store): void {
  const commit = store.commit.bind(store);
  store.commit = (run, settled, moment) => {
    const start = performance.now();
    commit(run, settled, moment);
    samples.push((1000 * (performance.now() - start)) / settled.length);
  };
}

/** What stood at the ends of the tenths. */
const marks: { commit: number; resident: number }[] = [];
const { counts, seconds } = await searchInFile(
  simulatedConfig({ stop: { proposals: proposals + tenth }, algorithm: 'random' }),
  TRIVIAL,
  (event) => {
    if (event.type !== 'committed') return;
    if (event.progress.counts.proposals < (marks.length + 1) * tenth) return;
    marks.push({ commit: median(samples), resident: resident() });
    samples = [];
  },
  timeCommits,
);
const [warmUp, first, last] = [marks[0]!, marks[1]!, marks.at(-1)!];
const growth: Growth = {
  residentMB: last.resident - warmUp.resident,
  firstCommit: first.commit,
  lastCommit: last.commit,
  perSecond: counts.proposals / seconds,
};
console.log(JSON.stringify(growth));
