import type { Command } from 'commander';
import { nativeEngine } from '../../eval/native/engine.ts';
import type { SearchConfig } from '../../search/config.ts';
import type { RunSummary } from '../../search/run.ts';
import { costOf } from '../cost.ts';
import { addFlags, dbOption, jsonOption } from '../options.ts';
import { duration, print, printJson } from '../output.ts';
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
  const { workers, json } = options;
  const engine = nativeEngine();
  const config = searchConfigOf(options, engine.numerics);
  if (!options.dryRun) return runSession(config, options);
  const plan = { config, workers, cost: costOf(config, engine, workers) };
  if (json) printJson(plan);
  else describePlan(plan);
  return null;
}

function describePlan({
  config,
  workers,
  cost,
}: {
  config: SearchConfig;
  workers: number;
  cost: ReturnType<typeof costOf>;
}) {
  print(JSON.stringify(config, null, 2));
  const { failedTestSeconds, trainingSeconds, atMostSeconds } = cost;
  print(
    `A candidate that fails the first quality test takes ${failedTestSeconds.toFixed(2)} s of a core, ` +
      `one that is trained to the end ${trainingSeconds.toFixed(2)} s.`,
  );
  print(
    `The search takes at most ${duration(atMostSeconds)} with ${workers} workers; most proposals are ` +
      'rejected before they are trained.',
  );
}
