import { resolve as resolvePath } from 'node:path';
import { type Command, InvalidArgumentError } from 'commander';
import type { Run } from '../../../db/runs.ts';
import type { Store } from '../../../db/store.ts';
import { UserError } from '../../errors.ts';
import { datasetSource, isDataFile } from '../../eval/data-sources.ts';
import { variants } from '../../eval/native/machine.ts';
import { PROTOCOL_FLAGS } from '../../eval/presets.ts';
import type { Protocol } from '../../eval/protocol.ts';
import type { SearchConfig } from '../../search/config.ts';
import { checkCourse, checkUnfinished } from '../../search/resume.ts';
import { addFlags, dbOption, jsonOption } from '../options.ts';
import { reading } from '../reading.ts';
import { addWorkersOption, runSession, type SessionOptions } from '../session.ts';
import { resumedConfigOf, SEARCH_FLAGS, type SettingOptions } from '../settings.ts';
import { addLogOptions } from '../watched.ts';

const DETAILS = `
Without further options the run goes on as it was begun. --proposals, --evaluations, --time, --target and
--patience extend it; --workers may be anything. Everything else must be as it was, or be left out.`;

export const resumeCommand = (program: Command) => {
  const command = program
    .command('resume')
    .argument('<run>', 'number of the run', runNumber)
    .option('--preset <name>', 'settings that it was begun with')
    .option('--config <file>', 'JSON file of settings that it was begun with');
  addFlags(addFlags(command, SEARCH_FLAGS), PROTOCOL_FLAGS);
  return addLogOptions(addWorkersOption(command))
    .addOption(dbOption())
    .addOption(jsonOption())
    .addHelpText('after', DETAILS)
    .action(async (run: number, options: ResumeOptions) => void (await resume(run, options)));
};

type ResumeOptions = Partial<SettingOptions> & SessionOptions;

function runNumber(text: string): number {
  const match = /^r?([1-9]\d{0,14})$/.exec(text.trim());
  if (!match) throw new InvalidArgumentError('It must be the number of a run, such as 3.');
  return Number(match[1]);
}

/** Goes on with a run. All that speaks against it is found before any thread is started. */
function resume(id: number, options: ResumeOptions) {
  const config = reading(options.db, (store) => {
    const run = runIn(store, id);
    const stored = relocated(run.config as SearchConfig, options.dataset);
    checkMachine(run, stored.protocol);
    const wanted = resumedConfigOf(options, stored);
    checkCourse(run, wanted);
    checkUnfinished(run, wanted, store);
    return wanted;
  });
  return runSession(config, options, id);
}

/** A data file may have moved since; that it holds the same is checked with its hash. */
function relocated(config: SearchConfig, file: unknown): SearchConfig {
  const { protocol } = config;
  const { dataset } = protocol;
  if (typeof file !== 'string' || !isDataFile(file) || !isDataFile(dataset.name)) return config;
  const moved = { ...dataset, name: resolvePath(file) };
  return { ...config, protocol: { ...protocol, dataset: moved } };
}

function runIn(store: Store, id: number): Run {
  const run = store.runs.byId(id);
  if (run) return run;
  const last = store.runs.list().at(-1)?.id;
  const there = last === undefined ? 'it has no runs yet' : `the last one is ${last}`;
  throw new UserError(`There is no run ${id} in ${store.path}; ${there}.`);
}

/** Throws a UserError where this machine would give other scores. */
function checkMachine({ id }: Run, { numerics, dataset }: Protocol): void {
  const kernels = variants().map((name) => `native/${name}`);
  if (!kernels.includes(numerics))
    throw new UserError(
      `Run ${id} was scored with the kernels ${numerics}, which this machine lacks; go on with it on one that has them (here are ${kernels.join(', ')}).`,
    );
  const { hash } = datasetSource(dataset.name);
  if (hash !== dataset.hash)
    throw new UserError(
      `Run ${id} was scored on ${dataset.name} with the hash ${dataset.hash}, and here its hash is ${hash}; the scores would not compare.`,
    );
}
