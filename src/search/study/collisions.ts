import { randomStream } from '../../eval/random.ts';
import { type Genome, genomeOf, layerOf } from '../../graph/genome.ts';
import { probe, structuralKey } from '../../graph/keys.ts';
import { ZOO } from '../../graph/zoo.ts';
import { mutate, padded, randomGenome, type SearchSpace } from '../space.ts';
import { PAPER, strangerIn } from '../spaces.ts';
import { REFERENCE_BITS } from './false-hits.ts';

/** Different functions, as keys of the highest precision tell. */
export interface FunctionSample {
  /** Layers drawn, of which some were drawn before, and some did not pass the probe. */
  readonly drawn: number;
  /** Different graphs, simplified, that pass the probe. */
  readonly structures: number;
  /** One layer for each function. */
  readonly functions: readonly Genome[];
}

/** What keys of so many mantissa bits make of the functions of a sample. */
export interface Collisions {
  readonly bits: number;
  readonly functions: number;
  readonly keys: number;
  /** Functions that share a key with another one. */
  readonly merged: number;
  /** Functions of the commonest key. */
  readonly largest: number;
}

/** Lets other work through; rejects where it is told to stop. */
export type Pause = () => Promise<void>;

const MUTATIONS = 4;
/** For each structure that is wanted; a small space may not have so many. */
const MOST_DRAWS = 100;

/** The known layers that the space has, as genomes. */
const knownIn = ({ space = PAPER }: SearchSpace): Genome[] =>
  ZOO.map(({ layer }) => genomeOf(layer)).filter((genome) => strangerIn(genome, space) === null);

/**
 * Layer `i` of the sample: every second one is random, the others are known layers after one to four
 * mutations, where the space has known layers.
 */
function drawn(i: number, space: SearchSpace): Genome {
  const rng = randomStream('collisions', i);
  if (i % 2 === 0) return randomGenome(space, rng);
  const known = knownIn(space);
  if (known.length === 0) return randomGenome(space, rng);
  let genome = padded(known[((i - 1) / 2) % known.length]!, space);
  const times = 1 + ((((i - 1) / 2 / known.length) | 0) % MUTATIONS);
  for (let n = 0; n < times; n++) genome = mutate(genome, space, rng);
  return genome;
}

/** The same sample every time: layers are drawn until so many different structures passed the probe, or the space is exhausted. */
export async function sampleFunctions(
  structures: number,
  space: SearchSpace,
  pause: Pause,
): Promise<FunctionSample> {
  const seen = new Set<string>();
  const functions = new Map<string, Genome>();
  let passed = 0;
  let i = 0;
  for (; passed < structures && i < MOST_DRAWS * structures; i++) {
    if (i % 50 === 0) await pause();
    const genome = drawn(i, space);
    const layer = layerOf(genome);
    const structure = structuralKey(layer);
    if (seen.has(structure)) continue;
    seen.add(structure);
    const result = probe(layer, { mantissaBits: REFERENCE_BITS });
    if (result.verdict !== 'ok') continue;
    passed++;
    if (!functions.has(result.functionalKey)) functions.set(result.functionalKey, genome);
  }
  return { drawn: i, structures: passed, functions: [...functions.values()] };
}

export async function collisionsAt(
  bits: number,
  { functions }: FunctionSample,
  pause: Pause,
): Promise<Collisions> {
  const sizes = new Map<string, number>();
  for (const [i, genome] of functions.entries()) {
    if (i % 50 === 0) await pause();
    const result = probe(layerOf(genome), { mantissaBits: bits });
    const key = result.verdict === 'ok' ? result.functionalKey : result.verdict;
    sizes.set(key, (sizes.get(key) ?? 0) + 1);
  }
  const shared = [...sizes.values()].filter((size) => size > 1);
  return {
    bits,
    functions: functions.length,
    keys: sizes.size,
    merged: shared.reduce((sum, size) => sum + size, 0),
    largest: Math.max(...sizes.values()),
  };
}
