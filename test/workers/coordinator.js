// A process of its own that runs one job: the file of the threads and the job come from its arguments.
import { hostPool } from '../../dist/src/search/pool.js';

const [filename, job] = process.argv.slice(2);
const pool = hostPool({ dataset: { name: 'fashion-mnist', pool: 14 }, workers: 1, filename });
await pool.run(JSON.parse(job), { signal: new AbortController().signal });
