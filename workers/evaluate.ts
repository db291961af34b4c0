import { parentPort } from 'node:worker_threads';
import { workerData } from 'piscina';
import { UserError } from '../src/errors.ts';
import type { Engine } from '../src/eval/engine.ts';
import { engineWith } from '../src/eval/engines.ts';
import { evaluateLayer } from '../src/eval/evaluate.ts';
import { NotEnoughMemory } from '../src/eval/native/machine.ts';
import type { Protocol } from '../src/eval/protocol.ts';
import { layerOf } from '../src/graph/genome.ts';
import type { Job, JobResult, Reply, WorkerData } from './messages.ts';

const { dataset } = workerData as WorkerData;

// Tells the pool that this file and all it imports could be loaded.
parentPort?.postMessage('loaded');

let engine: Engine | undefined;

/** The engine with the arithmetic that the protocol names, which this machine may lack. */
function engineOf({ numerics }: Protocol): Engine {
  if (engine?.numerics !== numerics) engine = engineWith(numerics);
  return engine;
}

function evaluate({ genome, protocol, seed }: Job): JobResult {
  const engine = engineOf(protocol);
  const start = performance.now();
  const outcome = evaluateLayer({ layer: layerOf(genome), protocol, seed, dataset, engine });
  return { outcome, seconds: (performance.now() - start) / 1000 };
}

/** True for memory that the engine was refused, and for typed arrays that could not be had. */
const isShortage = (error: unknown): error is Error =>
  error instanceof NotEnoughMemory ||
  (error instanceof RangeError && error.message.includes('allocation failed'));

/** The entry of a worker thread: runs one job. */
export default function work(job: Job): Reply {
  try {
    return { result: evaluate(job) };
  } catch (error) {
    if (isShortage(error)) return { shortage: error.message };
    if (!(error instanceof UserError)) throw error;
    return { refusal: { message: error.message, exitCode: error.exitCode } };
  }
}
