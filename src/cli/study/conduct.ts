import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { UserError } from '../../errors.ts';
import { checkDataset } from '../../eval/data.ts';
import { protocolKey } from '../../eval/protocol.ts';
import { isRecord } from '../../eval/settings.ts';
import { hostPool } from '../../search/pool.ts';
import { type Collisions, collisionsAt, sampleFunctions } from '../../search/study/collisions.ts';
import { type HashingStudy, plannedRuns } from '../../search/study/hashing.ts';
import {
  type Measured,
  measureQuality,
  qualityKey,
  qualityProtocol,
} from '../../search/study/quality.ts';
import { resultOf } from '../../search/study/result.ts';
import { type RunContext, runToBudget } from '../../search/study/runs.ts';
import { readJson, writeWhole } from '../files.ts';
import { duration, percent } from '../output.ts';
import type { Finding, Findings } from './data.ts';

export interface Conditions {
  readonly workers: number;
  readonly signal: AbortSignal;
  /** A line of progress. */
  readonly say: (text: string) => void;
}

/** Thrown within a study to end it when its signal has come; nobody outside sees it. */
class Interrupted extends Error {}

/**
 * Conducts a study, or what is left of it: all that is done is kept in its folder, which must be there.
 * Null where the signal ended it.
 */
export async function conduct(
  study: HashingStudy,
  conditions: Conditions,
): Promise<Findings | null> {
  const { dataset } = study.base.protocol;
  checkDataset(dataset.name);
  const { workers, signal } = conditions;
  try {
    const pool = hostPool({ dataset, workers });
    try {
      const runs = await allRuns(study, { ...conditions, pool });
      const quality = await allQuality(study, runs, { ...conditions, pool });
      return { runs, quality, ...(await allCollisions(study, conditions)) };
    } finally {
      await pool.close();
    }
  } catch (error) {
    if (error instanceof Interrupted && signal.aborted) return null;
    throw error;
  }
}

type Work = Conditions & RunContext;

async function allRuns(study: HashingStudy, work: Work): Promise<Finding[]> {
  const planned = plannedRuns(study);
  const findings: Finding[] = [];
  let [worked, seconds] = [0, 0];
  for (const [i, run] of planned.entries()) {
    const start = performance.now();
    if (!(await runToBudget(run, work))) throw new Interrupted();
    const result = resultOf(run);
    findings.push({ planned: run, result });
    const took = (performance.now() - start) / 1000;
    // What was done before takes next to no time, and says nothing about the rest.
    if (took > 1 || worked > 0) [worked, seconds] = [worked + 1, seconds + took];
    const left = (planned.length - i - 1) * (seconds / Math.max(1, worked));
    const { arm, part, seed } = run;
    const { proposals, hits, withFunction, best } = result;
    const known = percent((hits.structural + hits.functional) / Math.max(1, withFunction));
    work.say(
      `run ${i + 1} of ${planned.length}: ${part}, ${arm.name}, seed ${seed}: ${proposals} proposals, ${known} known, best ${best ? percent(best.fitness) : 'none'}, ${duration(took)}; about ${duration(left)} left`,
    );
  }
  return findings;
}

/** Fresh evaluations of every run's best layer, those that several runs found once. */
async function allQuality(
  { base, folder }: HashingStudy,
  runs: readonly Finding[],
  work: Work,
): Promise<Measured> {
  const protocol = qualityProtocol(base.protocol);
  const file = join(folder, 'quality.json');
  const measured: Record<string, readonly number[]> = {
    ...measuredIn(file, protocolKey(protocol)),
  };
  const layers = new Map(
    runs.flatMap(({ result: { best } }) => (best ? [[qualityKey(best.genome), best.genome]] : [])),
  );
  let done = 0;
  for (const [key, genome] of layers) {
    done++;
    if (measured[key]) continue;
    const fresh = await measureQuality(genome, protocol, work);
    if (fresh === null) throw new Interrupted();
    measured[key] = fresh;
    writeWhole(file, JSON.stringify({ protocol: protocolKey(protocol), measured }));
    if (done % 10 === 0 || done === layers.size)
      work.say(`best layers evaluated afresh: ${done} of ${layers.size}`);
  }
  return measured;
}

/** What was measured under this protocol before. */
function measuredIn(file: string, protocol: string): Measured {
  if (!existsSync(file)) return {};
  const stored = readJson(file);
  if (!isRecord(stored) || !isRecord(stored.measured))
    throw new UserError(`${file} was not written by evolayer; delete it, and go on.`, 1);
  return stored.protocol === protocol ? (stored.measured as Measured) : {};
}

async function allCollisions(
  { base, bits, sample: structures }: HashingStudy,
  { signal, say }: Conditions,
): Promise<Pick<Findings, 'sample' | 'collisions'>> {
  const pause = (): Promise<void> =>
    new Promise((resolve, reject) =>
      setImmediate(() => (signal.aborted ? reject(new Interrupted()) : resolve())),
    );
  if (bits.length === 0)
    return { sample: { drawn: 0, structures: 0, functions: [] }, collisions: [] };
  say(`drawing ${structures} different graphs`);
  const sample = await sampleFunctions(structures, base, pause);
  const collisions: Collisions[] = [];
  for (const m of bits) {
    say(`keys of ${m} bits for ${sample.functions.length} functions`);
    collisions.push(await collisionsAt(m, sample, pause));
  }
  return { sample, collisions };
}
