import type { Command } from 'commander';
import { checkDataset } from '../../eval/data.ts';
import type { RunSummary } from '../../search/run.ts';
import {
  addEngineOptions,
  chosenEngine,
  type EngineOptions,
  engineOfProtocol,
  workersOn,
} from '../engine-options.ts';
import { checkLog } from '../log.ts';
import { addFlags, dbOption, jsonOption } from '../options.ts';
import { noteCost, planOf, tellPlan } from '../plan.ts';
import { addProtocolOptions } from '../protocol-options.ts';
import { addWorkersOption, runSession, type SessionOptions } from '../session.ts';
import { SEARCH_FLAGS, type SettingOptions, searchConfigOf } from '../settings.ts';
import { addLogOptions } from '../watched.ts';

export const searchCommand = (program: Command) => {
  const command = addFlags(addProtocolOptions(program.command('search')), SEARCH_FLAGS);
  return addLogOptions(addWorkersOption(addEngineOptions(command)))
    .option('--dry-run', 'print the configuration and what it costs, and stop')
    .addOption(dbOption())
    .addOption(jsonOption())
    .action(async (options: SearchOptions) => void (await search(options)));
};

export type SearchOptions = SettingOptions &
  EngineOptions &
  Omit<SessionOptions, 'workers'> & { readonly workers?: number; readonly dryRun?: true };

/** Searches, prints the summary, and returns it; null after a dry run. */
export async function search(options: SearchOptions): Promise<RunSummary | null> {
  const chosen = chosenEngine(options);
  const config = searchConfigOf(options, chosen.numerics);
  const engine = engineOfProtocol(chosen, config.protocol);
  const session = { ...options, workers: workersOn(engine.numerics, options.workers) };
  if (options.log !== undefined && !options.dryRun) checkLog(options.log);
  const plan = planOf(config, engine, session);
  if (options.dryRun) {
    tellPlan(plan, options);
    return null;
  }
  checkDataset(config.protocol.dataset.name);
  noteCost(plan);
  return runSession(config, session);
}
