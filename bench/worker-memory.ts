/* Prints how many MB of resident memory each of two workers adds to their process when they train the minis. */
import { execFileSync } from 'node:child_process';
import { nativeEngine } from '../src/eval/native/engine.ts';
import { hostPool } from '../src/search/pool.ts';
import { shortJob, work } from './groups/workers.ts';

const STEPS = 20;

const job = shortJob(nativeEngine().numerics, STEPS);

/** Resident memory of the processes that this one started, in MB. */
function residentMegabytes(): number {
  const parent = String(process.pid);
  const lines = execFileSync('ps', ['-A', '-o', 'ppid=,rss=,comm='], { encoding: 'utf8' });
  return lines
    .split('\n')
    .map((line) => line.trim().split(/\s+/))
    .filter(([ppid, , name]) => ppid === parent && name !== 'ps')
    .reduce((sum, [, kilobytes]) => sum + Number(kilobytes) / 2 ** 10, 0);
}

/** Of a process with that many workers that have trained. */
async function megabytesWith(workers: number): Promise<number> {
  const pool = hostPool({ dataset: job.protocol.dataset, workers });
  await work(pool, job);
  const megabytes = residentMegabytes();
  await pool.close();
  return megabytes;
}

console.log(((await megabytesWith(3)) - (await megabytesWith(1))) / 2);
