import { setFlagsFromString } from 'node:v8';
import type { Command } from 'commander';
import { UserError } from '../../errors.ts';
import { dbOption } from '../options.ts';
import { note, print } from '../output.ts';

const DETAILS = `
The page shows what is in the database, also while a search writes it, and writes nothing. It is heard by
this machine alone; with --host by others too, who need the address that is printed, token included.
Ctrl-C ends it.`;

const DEFAULT_PORT = 8710;

export const dashboardCommand = (program: Command) =>
  program
    .command('dashboard')
    .addOption(dbOption())
    .option('--port <n>', 'the port; 0 for any that is free', portFrom, DEFAULT_PORT)
    .option('--host <address>', 'the address to listen to', '127.0.0.1')
    .addHelpText('after', DETAILS)
    .action(dashboard);

function portFrom(text: string): number {
  const port = /^\d{1,5}$/.test(text.trim()) ? Number(text) : Number.NaN;
  if (port <= 65_535) return port;
  throw new UserError(
    `--port is ${JSON.stringify(text)}; it must be a whole number from 0 to 65535.`,
  );
}

interface Options {
  readonly db: string;
  readonly port: number;
  readonly host: string;
}

/** Serves until a signal ends it, which is no failure. */
async function dashboard({ db, port, host }: Options): Promise<void> {
  // A page that stays open for days should leave the memory to the search: V8 keeps half as much garbage.
  setFlagsFromString('--optimize-for-size');
  const { listen } = await import('../../web/server/listen.ts');
  const onError = (error: Error) => note(`internal error: ${error.stack ?? error.message}`);
  const { url, close } = await listen({ db, port, host, onError });
  const ended = new Promise<void>((resolve) => {
    for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => resolve());
  });
  print(url);
  note(`Showing ${db}; Ctrl-C ends it.`);
  await ended;
  await close();
}
