import { existsSync, renameSync, rmSync } from 'node:fs';
import { basename, dirname, join, resolve } from 'node:path';
import type { Command } from 'commander';
import { usingStore } from '../../../db/store.ts';
import { UserError } from '../../errors.ts';
import { dbOption, runNumberFrom } from '../options.ts';
import { note } from '../output.ts';

const DETAILS = `
The file is a database of its own: every command reads it with --db, and \`evolayer resume\` goes on with
the run in it exactly as it would have here. Numbers stay as they are.`;

export const exportRunCommand = (program: Command) =>
  program
    .command('export-run')
    .argument('<run>', 'number of the run', runNumberFrom('The run'))
    .requiredOption('-o, --output <file>', 'the file, which must not be there yet')
    .addOption(dbOption())
    .addHelpText('after', DETAILS)
    .action(exportRun);

async function exportRun(run: number, { db, output }: { db: string; output: string }) {
  const target = resolve(output);
  if (existsSync(target)) throw new UserError(`${output} is there already; name another file.`);
  if (!existsSync(dirname(target)))
    throw new UserError(`${output} cannot be there: there is no folder ${dirname(target)}.`, 1);
  await usingStore(db, { readonly: true }, (store) => {
    if (!store.runs.byId(run)) throw store.noRun(run);
    // Under another name until it is whole.
    const unfinished = join(dirname(target), `.${basename(target).slice(0, 100)}.${process.pid}`);
    try {
      store.exportRun(run, unfinished, output);
      renameSync(unfinished, target);
    } finally {
      for (const end of ['', '-wal', '-shm', '-writer', '-journal'])
        rmSync(`${unfinished}${end}`, { force: true });
    }
  });
  note(`Wrote ${output}.`);
}
