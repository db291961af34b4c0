import type { Command } from 'commander';
import type { Pruned } from '../../../db/prune.ts';
import { openStore, type Store } from '../../../db/store.ts';
import { UserError } from '../../errors.ts';
import { countFrom, dbOption, jsonOption } from '../options.ts';
import { print, printJson } from '../output.ts';

const runNumber = countFrom('--run', Number.MAX_SAFE_INTEGER);

const DETAILS = `
Evaluations and structures that runs which began later may rely on stay in the database, out of sight, so
that these runs can go on as if nothing had happened. Numbers of runs and layers are never given again.`;

export const pruneCommand = (program: Command) =>
  program
    .command('prune')
    .requiredOption(
      '--run <n>',
      'the run to delete; repeatable',
      (text: string, before: readonly number[] = []) => [...before, runNumber(text)],
    )
    .option('--dry-run', 'only say what would go')
    .option('--yes', 'delete; what is deleted cannot be restored')
    .addOption(dbOption())
    .addOption(jsonOption())
    .addHelpText('after', DETAILS)
    .action(prune);

interface Options {
  readonly db: string;
  readonly run: readonly number[];
  readonly dryRun?: true;
  readonly yes?: true;
  readonly json?: true;
}

function prune({ db, run, dryRun, yes, json }: Options) {
  if (dryRun && yes)
    throw new UserError('--dry-run deletes nothing, and --yes deletes; leave one out.');
  const runs = [...new Set(run)];
  const store = openExisting(db);
  try {
    for (const id of runs) checkRun(store, id);
    const pruned = store.prune(runs, { dryRun: !yes });
    if (json) printJson({ runs, deleted: yes === true, ...pruned });
    else print(describe(runs, pruned, yes === true));
    if (!yes && !dryRun) throw new UserError('Nothing was deleted; --yes deletes it.');
  } finally {
    store.close();
  }
}

/** Opens the database to write it, but creates none. */
function openExisting(db: string): Store {
  openStore(db, { readonly: true }).close();
  return openStore(db);
}

function checkRun({ runs, path }: Store, id: number): void {
  if (runs.byId(id)) return;
  const all = runs.list().map((run) => run.id);
  const there = all.length === 0 ? 'it has none' : `there are ${all.join(', ')}`;
  throw new UserError(`There is no run ${id} in ${path}; ${there}.`);
}

function describe(
  runs: readonly number[],
  { candidates, evaluations, kept }: Pruned,
  done: boolean,
) {
  const what = `${runs.length === 1 ? 'run' : 'runs'} ${runs.join(', ')}`;
  const gone = `${candidates} candidates and ${evaluations} evaluations`;
  const rest =
    kept === 0 ? '' : ` ${kept} candidates stay out of sight, because other runs rely on them.`;
  return `${done ? 'Deleted' : 'This would delete'} ${what}: ${gone}.${rest}`;
}
