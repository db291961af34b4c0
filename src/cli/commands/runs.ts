import type { Command } from 'commander';
import { UserError } from '../../errors.ts';
import { duration, percent } from '../../format.ts';
import { reading } from '../../reading/open.ts';
import { runRowOf, runStates } from '../../reading/states.ts';
import type { CheckReport } from '../check.ts';
import { dbOption, jsonOption } from '../options.ts';
import { print, printJson, quoted, table } from '../output.ts';

export const runsCommand = (program: Command) =>
  program
    .command('runs')
    .option('--check', 'say what of the database is sound')
    .addOption(dbOption())
    .addOption(jsonOption())
    .action((options: Options) => (options.check ? check(options) : runs(options)));

interface Options {
  readonly db: string;
  readonly json?: true;
  readonly check?: true;
}

function runs({ db, json }: Options) {
  const rows = reading(db, (store) => runStates(store)).map(runRowOf);
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

/** Prints what a check found; throws a UserError where something is not sound. */
async function check({ db, json }: Options): Promise<void> {
  const { checkDatabase } = await import('../check.ts');
  const report = checkDatabase(db);
  if (json) printJson(report);
  else describeCheck(report);
  const { length } = report.findings;
  if (length > 0)
    throw new UserError(
      `${db} is not sound: ${length} ${length === 1 ? 'finding' : 'findings'}.`,
      1,
    );
}

function describeCheck({ db, runs, findings }: CheckReport): void {
  const listed = (run: number | null) => {
    for (const { message } of findings.filter((finding) => finding.run === run))
      print(`  ${message}`);
  };
  const ofFile = findings.some(({ run }) => run === null);
  print(`${db}: ${ofFile ? 'the file is damaged' : 'the file is sound'}`);
  listed(null);
  for (const { run, sound, proposals, sampled } of runs) {
    const how = sound ? `sound, keys of ${sampled} candidates computed again` : 'not sound';
    print(`run ${run}, ${proposals} proposals: ${how}`);
    listed(run);
  }
  const whole = runs.filter(({ sound }) => sound);
  if (findings.length === 0 || whole.length === 0) return;
  print('To save a run that is whole:');
  for (const { run } of whole)
    print(`  evolayer export-run ${run} --db ${quoted(db)} --output run-${run}.db`);
}
