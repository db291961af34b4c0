/*
 * The entry of a thread that starts the one in which TensorFlow.js computes, and tells when that one ends. Who waits
 * for an answer has no event loop meanwhile, and would not hear of it.
 */
import { Worker, workerData } from 'node:worker_threads';
import { type KeeperData, wake } from './calls.ts';

const { keeper, heapMegabytes, ...thread } = workerData as KeeperData;
const computing = new Worker(new URL('thread.js', import.meta.url), {
  ...{ workerData: thread, transferList: [thread.port], execArgv: [] },
  resourceLimits: heapMegabytes === undefined ? {} : { maxOldGenerationSizeMb: heapMegabytes },
});
let reason: string | undefined;
computing.on('error', (error) => {
  reason = error instanceof Error ? error.message : String(error);
});
computing.on('exit', (code) => {
  keeper.postMessage(reason ?? `it ended with exit code ${code}`);
  wake(thread.signal);
});
