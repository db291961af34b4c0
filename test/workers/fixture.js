// Stands in for workers/evaluate.js: does what the job's seed says. The images' shared memory counts
// [jobs that started, jobs that are running, the most that ran at once, released].
import { parentPort } from 'node:worker_threads';
import { workerData } from 'piscina';

const state = new Int32Array(workerData.dataset.train.images.buffer);

parentPort.postMessage('loaded');

const TRICKS = {
  echo: (job) => ({
    result: { outcome: { outcome: 'crashed', message: JSON.stringify(job) }, seconds: 1 },
  }),
  throw: () => {
    throw new Error('no luck');
  },
  refuse: () => ({ refusal: { message: 'The engine does not load.', exitCode: 1 } }),
  exit: () => process.exit(3),
  hang: () => {
    for (;;) Atomics.wait(state, 3, 0);
  },
  wait: (job) => {
    const running = Atomics.add(state, 1, 1) + 1;
    if (running > Atomics.load(state, 2)) Atomics.store(state, 2, running);
    if (Atomics.add(state, 0, 1) + 1 === 2) Atomics.store(state, 3, 1);
    Atomics.notify(state, 3);
    Atomics.wait(state, 3, 0);
    Atomics.sub(state, 1, 1);
    return TRICKS.echo(job);
  },
};

export default function work(job) {
  return TRICKS[job.seed](job);
}
