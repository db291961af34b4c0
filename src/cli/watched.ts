import type { Command } from 'commander';
import { Option } from 'commander';
import type { RunSummary, SearchEvent } from '../search/run.ts';
import type { History } from '../search/standing.ts';
import { LOG_LEVELS, type LogLevel, openLog } from './log.ts';
import { progressDisplay } from './progress.ts';

/** What the options of `addLogOptions` give. */
export interface LogSettings {
  readonly log?: string;
  readonly logLevel: LogLevel;
}

export const addLogOptions = (command: Command): Command =>
  command
    .option('--log <file>', 'append the events of the run to this file, a JSON object per line')
    .addOption(
      new Option('--log-level <level>', 'the least that is logged')
        .choices(LOG_LEVELS)
        .default('info'),
    );

/** Where a run tells what happens. */
export interface Watch {
  readonly onEvent: (event: SearchEvent) => void;
  /** A line for the user. */
  readonly say: (text: string) => void;
}

/** Runs a search under the eyes of a display and, where one is wanted, of a log. */
export async function watched(
  { log: file, logLevel: level }: Partial<LogSettings>,
  history: History,
  work: (watch: Watch) => Promise<RunSummary>,
): Promise<RunSummary> {
  const display = progressDisplay({ history });
  const { say } = display;
  try {
    const log = file === undefined ? null : openLog({ file, level: level ?? 'info', say });
    const onEvent = (event: SearchEvent) => {
      log?.onEvent(event);
      display.onEvent(event);
    };
    try {
      const summary = await work({ onEvent, say });
      log?.stopped(summary);
      return summary;
    } catch (error) {
      log?.failed(error);
      throw error;
    } finally {
      log?.close();
    }
  } finally {
    display.end();
  }
}
