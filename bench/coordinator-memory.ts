/* Prints, as JSON, how a coordinator with a trivial evaluator changes over a long run: see `Growth`. */
import type { Store } from '../db/store.ts';
import { searchInFile, simulatedConfig, TRIVIAL } from './simulated.ts';

/** Of a run, after a warm-up of a tenth of it. */
export interface Growth {
  /** Resident memory at the end minus that after the warm-up, in MB. */
  readonly residentMB: number;
  /** Processor time per candidate in commits, in microseconds: in the first tenth after the warm-up, and in the last one. */
  readonly firstCommit: number;
  readonly lastCommit: number;
  /** Bytes that the database grows by with a candidate: in the first tenth after the warm-up, and in the last one. */
  readonly firstBytes: number;
  readonly lastBytes: number;
  /** Candidates per second over all of it. */
  readonly perSecond: number;
}

const proposals = Number(process.argv[2]);
const tenth = proposals / 10;
const resident = () => process.memoryUsage.rss() / 2 ** 20;

/** Microseconds in commits, and candidates in them, since the last tenth was over. Waiting for the disk, or for other programs, is left out. */
let spent = { time: 0, candidates: 0 };
let size = () => 0;
function timeCommits(store: Store): void {
  size = () => store.stats.size().bytes;
  const commit = store.commit.bind(store);
  store.commit = (run, settled, moment) => {
    const start = process.cpuUsage();
    commit(run, settled, moment);
    const { user, system } = process.cpuUsage(start);
    spent.time += user + system;
    spent.candidates += settled.length;
  };
}

/** What stood at the ends of the tenths. */
const marks: { commit: number; resident: number; bytes: number }[] = [];
const { counts, seconds } = await searchInFile(
  simulatedConfig({ stop: { proposals: proposals + tenth }, algorithm: 'random' }),
  TRIVIAL,
  {
    prepare: timeCommits,
    onEvent: (event) => {
      if (event.type !== 'committed') return;
      if (event.progress.counts.proposals < (marks.length + 1) * tenth) return;
      marks.push({ commit: spent.time / spent.candidates, resident: resident(), bytes: size() });
      spent = { time: 0, candidates: 0 };
    },
  },
);
const [warmUp, first, last] = [marks[0]!, marks[1]!, marks.at(-1)!];
const growth: Growth = {
  residentMB: last.resident - warmUp.resident,
  firstCommit: first.commit,
  lastCommit: last.commit,
  firstBytes: (first.bytes - warmUp.bytes) / tenth,
  lastBytes: (last.bytes - marks.at(-2)!.bytes) / tenth,
  perSecond: counts.proposals / seconds,
};
console.log(JSON.stringify(growth));
