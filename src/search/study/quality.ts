import type { Job } from '../../../workers/messages.ts';
import { datasetSource } from '../../eval/data-sources.ts';
import { overrideProtocol } from '../../eval/presets.ts';
import type { Protocol } from '../../eval/protocol.ts';
import { type Genome, layerOf } from '../../graph/genome.ts';
import { probe } from '../../graph/keys.ts';
import { fitnessOf } from '../select.ts';
import type { RunContext } from './runs.ts';

/** Fresh evaluations of each layer. */
export const QUALITY_REPEATS = 6;

/** Mean accuracies of fresh evaluations, by `freshKey`. */
export type Measured = Record<string, readonly number[]>;

/** A layer that is evaluated afresh, with the protocol's seed in that. */
export interface Fresh {
  readonly genome: Genome;
  readonly seed: number;
}

export const freshKey = ({ genome, seed }: Fresh): string => `${qualityKey(genome)}/${seed}`;

function qualityKey(genome: Genome): string {
  const result = probe(layerOf(genome));
  if (result.verdict !== 'ok')
    throw new Error(`internal: a layer with scores is ${result.verdict}`);
  return result.functionalKey;
}

/** Without the quality test, so that bad luck in it does not leave an evaluation without accuracy. */
export const qualityProtocol = (protocol: Protocol): Protocol =>
  overrideProtocol(protocol, { quality: { steps: 0 } });

/**
 * What a layer is worth, free of the luck that made it the best of its run: the fitness of fresh
 * evaluations, the same ones for every run that found it and has the seed. One that gives no accuracy (its
 * loss is not finite, say) counts as a guess. Null where `signal` ended it.
 */
export async function measureQuality(
  { genome, seed }: Fresh,
  base: Protocol,
  { pool, signal }: RunContext,
): Promise<number[] | null> {
  const protocol = { ...base, seed };
  const key = qualityKey(genome);
  const { classes } = datasetSource(protocol.dataset.name);
  const jobs = Array.from({ length: QUALITY_REPEATS }, (_, i): Job => {
    // No seed of a search looks like this.
    return { genome, protocol, seed: `quality/${seed}/${key}/${i}` };
  });
  try {
    const results = await Promise.all(jobs.map((job) => pool.run(job, { signal })));
    return results.map(({ outcome }) =>
      outcome.outcome === 'evaluated' ? fitnessOf(outcome) : 1 / classes,
    );
  } catch (error) {
    if (signal.aborted) return null;
    throw error;
  }
}
