// What the code of a worker can do to its thread and its process.
import { openSync, writeFileSync, writeSync } from 'node:fs';

export const MISDEEDS = {
  throw: () => {
    throw new Error('no luck');
  },
  exit: () => process.exit(3),
  shortage: () => ({ shortage: 'A network of 9 MB cannot be set up: not enough memory.' }),
  heap: () => {
    const held = [];
    for (;;) held.push(new Array(10_000).fill(held.length));
  },
  spin: () => {
    for (;;) Math.random();
  },
  // Two named pipes: a reader of the first one learns that the thread is about to wait for ever, in a
  // system call, for a reader of the second.
  block: (told, never) => {
    writeFileSync(told, 'blocking');
    openSync(never, 'w');
  },
  segfault: () => stopHere('SIGSEGV'),
  kill: () => stopHere('SIGKILL'),
  abort: () => {
    writeSync(2, "terminate called after throwing an instance of 'std::bad_alloc'\n");
    stopHere('SIGABRT');
  },
};

/** The signal ends the whole process, as it would from native code, before the thread does anything else. */
function stopHere(signal) {
  process.kill(process.pid, signal);
  for (;;) Math.random();
}
