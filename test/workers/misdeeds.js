// What the code of a worker can do to its thread and its process.
import { execFileSync } from 'node:child_process';
import { writeSync } from 'node:fs';

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
  // Waits in native code for the end of a child, which lives until somebody writes to the second of two named
  // pipes. A reader of the first one learns from that child, and so not too early, that the thread waits.
  block: (told, never) => execFileSync('sh', ['-c', 'echo blocking > "$0"; cat "$1"', told, never]),
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
