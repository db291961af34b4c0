const SIGNALS = ['SIGINT', 'SIGTERM'] as const;
export const INTERRUPTED = 130;

/**
 * Runs `work` with a signal that the first Ctrl-C (or SIGTERM) aborts; the second one ends the program at
 * once, which loses nothing that was committed.
 */
export async function interruptibly<T>(
  work: (signal: AbortSignal) => Promise<T>,
  say: (text: string) => void,
): Promise<T> {
  const controller = new AbortController();
  const interrupt = () => {
    if (controller.signal.aborted) process.exit(INTERRUPTED);
    say('Stopping; once more stops at once.');
    controller.abort();
  };
  for (const signal of SIGNALS) process.on(signal, interrupt);
  try {
    return await work(controller.signal);
  } finally {
    for (const signal of SIGNALS) process.off(signal, interrupt);
  }
}
