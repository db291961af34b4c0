/* Prints how many MB of resident memory each of two workers adds to their process when they train the minis. */
import { nativeEngine } from '../src/eval/native/engine.ts';
import { hostPool } from '../src/search/pool.ts';
import { shortJob, work } from './groups/workers.ts';
import { residentOfChildren } from './resident.ts';

const STEPS = 20;

const job = shortJob(nativeEngine().numerics, STEPS);

/** Of a process with that many workers that have trained. */
async function megabytesWith(workers: number): Promise<number> {
  const pool = hostPool({ dataset: job.protocol.dataset, workers });
  await work(pool, job);
  const megabytes = residentOfChildren();
  await pool.close();
  return megabytes;
}

console.log(((await megabytesWith(3)) - (await megabytesWith(1))) / 2);
