import type { Command } from 'commander';
import { isBeingWritten } from '../../../db/lease.ts';
import type { Run } from '../../../db/runs.ts';
import type { SearchConfig } from '../../search/config.ts';
import { dbOption, jsonOption } from '../options.ts';
import { duration, percent, print, printJson, table } from '../output.ts';
import { reading } from '../reading.ts';

export const runsCommand = (program: Command) =>
  program.command('runs').addOption(dbOption()).addOption(jsonOption()).action(runs);

/** Only the youngest run can be the one that somebody is writing. */
function stateOf(run: Run, isLast: boolean, db: string): string {
  if (run.stopped) return run.stopped;
  return isLast && isBeingWritten(db) ? 'running' : 'killed';
}

function runs({ db, json }: { db: string; json?: true }) {
  const all = reading(db, (store) => store.runs.list());
  const rows = all.map((run) => {
    const config = run.config as SearchConfig;
    const { id, started, proposals, evaluated, bestFitness, seconds, protocolKey } = run;
    const state = stateOf(run, run === all.at(-1), db);
    const { stop, seed, algorithm } = config;
    const total = stop.proposals;
    const progress = { state, proposals, total, evaluated, best: bestFitness, seconds };
    return { id, started, ...progress, seed, algorithm, protocol: protocolKey, config };
  });
  if (json) return printJson(rows);
  if (rows.length === 0) return print(`${db} has no runs yet.`);
  print(
    table(rows, [
      { head: 'run', value: ({ id }) => id, align: 'right' },
      { head: 'started', value: ({ started }) => started.slice(0, 16).replace('T', ' ') },
      { head: 'state', value: ({ state }) => state },
      { head: 'proposals', value: (r) => `${r.proposals} of ${r.total}`, align: 'right' },
      { head: 'scored', value: ({ evaluated }) => evaluated, align: 'right' },
      { head: 'best', value: ({ best }) => (best === null ? '' : percent(best)), align: 'right' },
      { head: 'time', value: ({ seconds }) => duration(seconds), align: 'right' },
      { head: 'algorithm', value: ({ algorithm }) => algorithm },
      { head: 'seed', value: ({ seed }) => seed, align: 'right' },
      { head: 'protocol', value: ({ protocol }) => protocol },
    ]),
  );
}
