import { CommanderError } from 'commander';
import { UserError } from '../errors.ts';
import { errColours, note } from './output.ts';

/** Tells the user what went wrong, and returns the exit code: 1 failed, 2 wrong usage or configuration. */
export function report(error: unknown): number {
  // Commander has said what there is to say, and calls all mistakes in usage 1.
  if (error instanceof CommanderError) return error.exitCode === 0 ? 0 : 2;
  if (error instanceof UserError) {
    note(`${errColours.red('error:')} ${error.message}`);
    return error.exitCode;
  }
  const text = error instanceof Error ? (error.stack ?? error.message) : String(error);
  note(`${errColours.red('internal error:')} this is a bug of evolayer. ${text}`);
  return 1;
}
