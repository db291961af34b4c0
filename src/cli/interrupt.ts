const SIGNALS = ['SIGINT', 'SIGTERM'] as const;
export const INTERRUPTED = 130;

/**
 * Runs `work` with a signal that the first Ctrl-C (or SIGTERM) aborts, with its name as the reason; the
 * second one ends the program at once, which loses nothing that was committed.
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
  const heard = () => {};
  for (const signal of SIGNALS) process.on(signal, interrupt);
  process.on('SIGXFSZ', heard);
  try {
    return await work(controller.signal);
  } finally {
    for (const signal of SIGNALS) process.off(signal, interrupt);
    process.off('SIGXFSZ', heard);
  }
}
