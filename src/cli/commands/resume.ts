import { resolve as resolvePath } from 'node:path';
import type { Command } from 'commander';
import type { Run } from '../../../db/runs.ts';
import { UserError } from '../../errors.ts';
import { datasetSource, isDataFile } from '../../eval/data-sources.ts';
import { numericsLike } from '../../eval/engines.ts';
import { PROTOCOL_FLAGS } from '../../eval/presets.ts';
import type { Protocol } from '../../eval/protocol.ts';
import { reading } from '../../reading/open.ts';
import type { SearchConfig } from '../../search/config.ts';
import { checkCourse, checkUnfinished } from '../../search/resume.ts';
import { workersOn } from '../engine-options.ts';
import { addFlags, dbOption, jsonOption, runNumberFrom } from '../options.ts';
import { addWorkersOption, runSession, type SessionOptions } from '../session.ts';
import { resumedConfigOf, SEARCH_FLAGS, type SettingOptions } from '../settings.ts';
import { addLogOptions } from '../watched.ts';

const DETAILS = `
Without further options the run goes on as it was begun. --proposals, --evaluations, --time, --target and
--patience extend it; --workers may be anything. Everything else must be as it was, or be left out.`;

export const resumeCommand = (program: Command) => {
  const command = program
    .command('resume')
    .argument('<run>', 'number of the run', runNumberFrom('The run'))
    .option('--preset <name>', 'settings that it was begun with')
    .option('--config <file>', 'JSON file of settings that it was begun with');
  addFlags(addFlags(command, SEARCH_FLAGS), PROTOCOL_FLAGS);
  return addLogOptions(addWorkersOption(command))
    .addOption(dbOption())
    .addOption(jsonOption())
    .addHelpText('after', DETAILS)
    .action(async (run: number, options: ResumeOptions) => void (await resume(run, options)));
};

type ResumeOptions = Partial<SettingOptions> &
  Omit<SessionOptions, 'workers'> & { readonly workers?: number };

/** Goes on with a run. All that speaks against it is found before any thread is started. */
function resume(id: number, options: ResumeOptions) {
  const config = reading(options.db, (store) => {
    const run = store.runs.byId(id);
    if (!run) throw store.noRun(id);
    const stored = relocated(run.config as SearchConfig, options.dataset);
    checkMachine(run, stored.protocol);
    const wanted = resumedConfigOf(options, stored);
    checkCourse(run, wanted);
    checkUnfinished(run, wanted, store);
    return wanted;
  });
  const workers = workersOn(config.protocol.numerics, options.workers);
  return runSession(config, { ...options, workers }, id);
}

/** A data file may have moved since; that it holds the same is checked with its hash. */
function relocated(config: SearchConfig, file: unknown): SearchConfig {
  const { protocol } = config;
  const { dataset } = protocol;
  if (typeof file !== 'string' || !isDataFile(file) || !isDataFile(dataset.name)) return config;
  const moved = { ...dataset, name: resolvePath(file) };
  return { ...config, protocol: { ...protocol, dataset: moved } };
}

/** Throws a UserError where this machine or this version would give other scores. */
function checkMachine({ id }: Run, { numerics, dataset }: Protocol): void {
  const kernels = numericsLike(numerics);
  if (!kernels.includes(numerics))
    throw new UserError(
      `Run ${id} was scored with the arithmetic ${numerics}, which cannot be had with this version on this machine; go on with it where it can (here there are ${kernels.join(', ')}).`,
    );
  const { hash } = datasetSource(dataset.name);
  if (hash !== dataset.hash)
    throw new UserError(
      `Run ${id} was scored on ${dataset.name} with the hash ${dataset.hash}, and here its hash is ${hash}; the scores would not compare.`,
    );
}
