/*
 * Prints by how many MB the resident memory of a process with two workers grows over many candidates, every one
 * another random layer: the mean over the last tenth less that over the second one. Training is short, so that what
 * grows with candidates (compiled layers, arenas, threads' heaps) has many of them to grow with.
 */
import { mean } from 'simple-statistics';
import { nativeEngine } from '../src/eval/native/engine.ts';
import { resolveProtocol } from '../src/eval/presets.ts';
import { randomStream } from '../src/eval/random.ts';
import { hostPool } from '../src/search/pool.ts';
import { randomGenome } from '../src/search/space.ts';
import { residentOfChildren } from './resident.ts';

const WORKERS = 2;
const TENTHS = 10;
const LOOKS_PER_TENTH = 10;

const candidates = Number(process.argv[2]);
const { numerics } = nativeEngine();
const protocol = resolveProtocol(
  'quick',
  { batch: 8, steps: 4, dataset: { validation: 100 }, quality: { steps: 0 } },
  numerics,
);
const pool = hostPool({ dataset: protocol.dataset, workers: WORKERS });
const { signal } = new AbortController();
const looks: number[] = [];
let [begun, done] = [0, 0];

async function work(): Promise<void> {
  while (begun < candidates) {
    const genome = randomGenome(
      { genomeNodes: 10, primitiveWeights: {} },
      randomStream('bench growth', begun++),
    );
    await pool.run({ genome, protocol, seed: 'bench' }, { signal });
    if (++done * TENTHS * LOOKS_PER_TENTH >= candidates * (looks.length + 1))
      looks.push(residentOfChildren());
  }
}

await Promise.all(Array.from({ length: 2 * WORKERS }, work));
await pool.close();
const tenth = (n: number) => mean(looks.slice(n * LOOKS_PER_TENTH, (n + 1) * LOOKS_PER_TENTH));
console.log(tenth(TENTHS - 1) - tenth(1));
