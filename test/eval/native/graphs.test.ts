import fc from 'fast-check';
import { expect, it } from 'vitest';
import { variants } from '../../../src/eval/native/machine.ts';
import { layerOf } from '../../../src/graph/genome.ts';
import { genomes } from '../../graph/arbitrary.ts';
import { backendOf } from './backend.ts';
import { caseOf, expectEqual } from './compare.ts';
import { runs } from './runs.ts';

const TOLERANCES = { output: 1e-4, gradient: 1e-3 };

/** The same graphs every time, unless others are asked for. */
const SEED = Number(process.env.EVOLAYER_GRAPHS_SEED ?? 1);
const GRAPHS = Number(process.env.EVOLAYER_GRAPHS ?? runs(2000));

it(`${GRAPHS} random graphs equal fp64 on ${variants().join(', ')}`, () => {
  const backends = variants().map(backendOf);
  const widened = variants().map(() => 0);
  fc.assert(
    fc.property(genomes(), fc.nat(), (genome, seed) => {
      const wanted = caseOf(layerOf(genome), seed);
      for (const [i, backend] of backends.entries())
        if (expectEqual(wanted, backend, TOLERANCES)) widened[i]!++;
    }),
    { numRuns: GRAPHS, seed: SEED },
  );
  // About one in 200 loses digits in any fp32 arithmetic.
  for (const count of widened) expect(count).toBeLessThan(Math.max(5, GRAPHS / 50));
}, 300_000);
