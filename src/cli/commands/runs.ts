import type { Command } from 'commander';
import type { SearchConfig } from '../../search/config.ts';
import { dbOption, jsonOption } from '../options.ts';
import { duration, percent, print, printJson, table } from '../output.ts';
import { reading } from '../reading.ts';
import { type RunState, runStates } from '../states.ts';

export const runsCommand = (program: Command) =>
  program.command('runs').addOption(dbOption()).addOption(jsonOption()).action(runs);

function runs({ db, json }: { db: string; json?: true }) {
  const rows = reading(db, (store) => runStates(store)).map(rowOf);
  if (json) return printJson(rows);
  if (rows.length === 0) return print(`${db} has no runs yet.`);
  print(
    table(rows, [
      { head: 'run', value: ({ id }) => id, align: 'right' },
      { head: 'started', value: ({ started }) => started.slice(0, 16).replace('T', ' ') },
      { head: 'state', value: ({ state, reason }) => (reason ? `${state}: ${reason}` : state) },
      { head: 'proposals', value: (r) => `${r.proposals} of ${r.total}`, align: 'right' },
      { head: 'scored', value: ({ evaluated }) => evaluated, align: 'right' },
      { head: 'best', value: ({ best }) => (best === null ? '' : percent(best)), align: 'right' },
      { head: 'time', value: ({ seconds }) => duration(seconds), align: 'right' },
      { head: 'sessions', value: ({ sessions }) => sessions, align: 'right' },
      { head: 'algorithm', value: ({ algorithm }) => algorithm },
      { head: 'seed', value: ({ seed }) => seed, align: 'right' },
      { head: 'protocol', value: ({ protocol }) => protocol },
    ]),
  );
}

function rowOf({ run, sessions, state, reason }: RunState) {
  const { id, started, proposals, evaluated, bestFitness: best, seconds, protocolKey } = run;
  const config = run.config as SearchConfig;
  const { stop, seed, algorithm } = config;
  return {
    ...{ id, started, state, reason, proposals, total: stop.proposals, evaluated, best, seconds },
    ...{ sessions: sessions.length, seed, algorithm, protocol: protocolKey, config },
  };
}
