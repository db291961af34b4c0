import type { Command } from 'commander';
import type { Pruned } from '../../../db/prune.ts';
import { openStore, usingStore } from '../../../db/store.ts';
import { UserError } from '../../errors.ts';
import { dbOption, jsonOption, runNumberFrom } from '../options.ts';
import { print, printJson } from '../output.ts';

const runNumber = runNumberFrom('--run');

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
  // To write is to create it otherwise.
  openStore(db, { readonly: true }).close();
  return usingStore(db, {}, (store) => {
    for (const id of runs) if (!store.runs.byId(id)) throw store.noRun(id);
    const pruned = store.prune(runs, { dryRun: !yes });
    if (json) printJson({ runs, deleted: yes === true, ...pruned });
    else print(describe(runs, pruned, yes === true));
    if (!yes && !dryRun) throw new UserError('Nothing was deleted; --yes deletes it.');
  });
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
