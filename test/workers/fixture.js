// Stands in for workers/evaluate.js: every job tells the test that it has started, over the socket that its
// seed names, and does what the test answers. See stage.ts.
import { once } from 'node:events';
import { connect } from 'node:net';
import { parentPort, threadId } from 'node:worker_threads';
import { MISDEEDS } from './misdeeds.js';

parentPort.postMessage('loaded');

const COMMANDS = {
  ...MISDEEDS,
  finish: (job) => ({
    result: { outcome: { outcome: 'diverged', anchor: job.seed, step: 0 }, seconds: Number.NaN },
  }),
  refuse: () => ({ refusal: { message: 'The engine does not load.', exitCode: 1 } }),
};

export default async function work(job) {
  const [path, name] = job.seed.split('|');
  const socket = connect(path);
  socket.write(`${JSON.stringify({ name, pid: process.pid, thread: threadId })}\n`);
  const [line] = await once(socket.setEncoding('utf8'), 'data');
  const [command, ...args] = line.trim().split(' ');
  try {
    return COMMANDS[command](...(command === 'finish' ? [job] : args));
  } finally {
    socket.destroy();
  }
}
