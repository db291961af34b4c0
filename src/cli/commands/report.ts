import type { Command } from 'commander';
import { reading } from '../../reading/open.ts';
import { runState } from '../../reading/states.ts';
import { writeWhole } from '../files.ts';
import { dbOption, runNumberFrom } from '../options.ts';
import { note } from '../output.ts';

const DETAILS = `
The file needs nothing else, no net and no script: it can be mailed, printed, or kept beside a paper.`;

export const reportCommand = (program: Command) =>
  program
    .command('report')
    .argument('<run>', 'number of the run', runNumberFrom('The run'))
    .requiredOption('-o, --output <file>', 'the file, HTML')
    .addOption(dbOption())
    .addHelpText('after', DETAILS)
    .action(report);

interface Options {
  readonly db: string;
  readonly output: string;
}

async function report(run: number, { db, output }: Options): Promise<void> {
  const { reportOf, toldOf } = await import('../../web/report/report.ts');
  const told = reading(db, (store) => {
    const state = runState(store, run);
    if (!state) throw store.noRun(run);
    return toldOf(store, state);
  });
  writeWhole(output, await reportOf(told));
  note(`Wrote ${output}.`);
}
