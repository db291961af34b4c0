/* Prints how many MB of resident memory each of two workers takes that train the minis. */
import { loadDataset } from '../src/eval/data.ts';
import { nativeEngine } from '../src/eval/native/engine.ts';
import { threadPool } from '../src/search/pool.ts';
import { shortJob, work } from './groups/workers.ts';

const WORKERS = 2;
const STEPS = 20;

const job = shortJob(nativeEngine().numerics, STEPS);
const { name, pool: pooling } = job.protocol.dataset;
const dataset = loadDataset(name, { pool: pooling });
const before = process.memoryUsage.rss();
const pool = threadPool({ dataset, workers: WORKERS });
await work(pool, job);
console.log((process.memoryUsage.rss() - before) / WORKERS / 2 ** 20);
await pool.close();
