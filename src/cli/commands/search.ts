import type { Command } from 'commander';
import { nativeEngine } from '../../eval/native/engine.ts';
import type { RunSummary } from '../../search/run.ts';
import { addFlags, dbOption, jsonOption } from '../options.ts';
import { planOf, tellPlan } from '../plan.ts';
import { addProtocolOptions } from '../protocol-options.ts';
import { addWorkersOption, runSession, type SessionOptions } from '../session.ts';
import { SEARCH_FLAGS, type SettingOptions, searchConfigOf } from '../settings.ts';
import { addLogOptions } from '../watched.ts';

export const searchCommand = (program: Command) => {
  const command = addFlags(addProtocolOptions(program.command('search')), SEARCH_FLAGS);
  return addLogOptions(addWorkersOption(command))
    .option('--dry-run', 'print the configuration and what it costs, and stop')
    .addOption(dbOption())
    .addOption(jsonOption())
    .action(async (options: SearchOptions) => void (await search(options)));
};

export type SearchOptions = SettingOptions & SessionOptions & { readonly dryRun?: true };

/** Searches, prints the summary, and returns it; null after a dry run. */
export async function search(options: SearchOptions): Promise<RunSummary | null> {
  const engine = nativeEngine();
  const config = searchConfigOf(options, engine.numerics);
  if (!options.dryRun) return runSession(config, options);
  tellPlan(planOf(config, engine, options), options);
  return null;
}
