// Stands in for workers/evaluate.js: every job tells the test that it has started, over the socket that its
// seed names, and does what the test answers. See stage.ts.
import { once } from 'node:events';
import { openSync, writeFileSync, writeSync } from 'node:fs';
import { connect } from 'node:net';
import { parentPort, threadId } from 'node:worker_threads';

parentPort.postMessage('loaded');

const COMMANDS = {
  finish: (job) => ({
    result: { outcome: { outcome: 'diverged', anchor: job.seed, step: 0 }, seconds: Number.NaN },
  }),
  throw: () => {
    throw new Error('no luck');
  },
  exit: () => process.exit(3),
  refuse: () => ({ refusal: { message: 'The engine does not load.', exitCode: 1 } }),
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
  block: (_job, told, never) => {
    writeFileSync(told, 'blocking');
    openSync(never, 'w');
  },
  segfault: () => stopHere('SIGSEGV'),
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

export default async function work(job) {
  const [path, name] = job.seed.split('|');
  const socket = connect(path);
  socket.write(`${JSON.stringify({ name, pid: process.pid, thread: threadId })}\n`);
  const [line] = await once(socket.setEncoding('utf8'), 'data');
  const [command, ...args] = line.trim().split(' ');
  try {
    return COMMANDS[command](job, ...args);
  } finally {
    socket.destroy();
  }
}
