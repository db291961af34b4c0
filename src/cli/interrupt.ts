const SIGNALS = ['SIGINT', 'SIGTERM'] as const;
export const INTERRUPTED = 130;

/**
 * Runs `work` with a signal that the first Ctrl-C (or SIGTERM) aborts, with its name as the reason; the
 * second one ends the program at once, which loses nothing that was committed.
 *
 * A terminal that is closed says SIGHUP. If it showed the progress, that is as a first Ctrl-C; else nobody
 * there was waiting, and the work goes on: see `outliveTerminal`.
 *
 * Where files may not grow beyond a limit (`ulimit -f`), the system says so with SIGXFSZ, which would end
 * the program; it is heard here, so that the write fails instead and the user is told.
 */
export async function interruptibly<T>(
  work: (signal: AbortSignal) => Promise<T>,
  say: (text: string) => void,
): Promise<T> {
  const controller = new AbortController();
  const interrupt = (name: NodeJS.Signals) => {
    if (controller.signal.aborted) process.exit(INTERRUPTED);
    say('Stopping; once more stops at once.');
    controller.abort(name);
  };
  // Both the system and the shell may say it.
  const hungUp = () => {
    if (process.stderr.isTTY && !controller.signal.aborted) interrupt('SIGHUP');
  };
  const heard = () => {};
  for (const signal of SIGNALS) process.on(signal, interrupt);
  process.on('SIGHUP', hungUp);
  process.on('SIGXFSZ', heard);
  try {
    return await work(controller.signal);
  } finally {
    for (const signal of SIGNALS) process.off(signal, interrupt);
    process.off('SIGHUP', hungUp);
    process.off('SIGXFSZ', heard);
  }
}
