import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { UserError } from '../../errors.ts';
import { checkDataset } from '../../eval/data.ts';
import { protocolKey } from '../../eval/protocol.ts';
import { isRecord } from '../../eval/settings.ts';
import { duration, percent } from '../../format.ts';
import { poolFor } from '../../search/spread-pool.ts';
import type { Pause } from '../../search/study/collisions.ts';
import {
  type Fresh,
  freshKey,
  type Measured,
  measureQuality,
  qualityProtocol,
} from '../../search/study/quality.ts';
import { resultOf } from '../../search/study/result.ts';
import { type RunContext, runToBudget } from '../../search/study/runs.ts';
import type { Study } from '../../search/study/study.ts';
import { readJson, writeWhole } from '../files.ts';
import type { Finding, Findings } from './summary.ts';

export interface Conditions {
  readonly workers: number;
  readonly signal: AbortSignal;
  /** A line of progress. */
  readonly say: (text: string) => void;
}

/** What a study does besides its runs, in the thread of the program. */
export type Rest<More> = (
  work: Pick<Conditions, 'say'> & { readonly pause: Pause },
) => Promise<More>;

/** Thrown within a study to end it when its signal has come; nobody outside sees it. */
class Interrupted extends Error {}

/**
 * Conducts a study, or what is left of it: all that is done is kept in its folder, which must be there.
 * Null where the signal ended it.
 */
export async function conduct<More>(
  study: Study,
  conditions: Conditions,
  rest: Rest<More>,
): Promise<(Findings & More) | null> {
  const { dataset } = study.base.protocol;
  checkDataset(dataset.name);
  const { workers, signal, say } = conditions;
  const pause = (): Promise<void> =>
    new Promise((resolve, reject) =>
      setImmediate(() => (signal.aborted ? reject(new Interrupted()) : resolve())),
    );
  try {
    const pool = poolFor(study.base.protocol, workers);
    try {
      const runs = await allRuns(study, { ...conditions, pool });
      const quality = await allQuality(study, runs, { ...conditions, pool });
      return { runs, quality, ...(await rest({ say, pause })) };
    } finally {
      await pool.close();
    }
  } catch (error) {
    if (error instanceof Interrupted && signal.aborted) return null;
    throw error;
  }
}

type Work = Conditions & RunContext;

async function allRuns({ runs: planned }: Study, work: Work): Promise<Finding[]> {
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

/** Fresh evaluations of the known layers and of every run's best layer; those that several runs share are made once. */
async function allQuality(study: Study, runs: readonly Finding[], work: Work): Promise<Measured> {
  const { base, folder } = study;
  const protocol = qualityProtocol(base.protocol);
  const file = join(folder, 'quality.json');
  const measured: Record<string, readonly number[]> = {
    ...measuredIn(file, protocolKey(protocol)),
  };
  const wanted = [...knownFresh(study), ...runs.flatMap(bestFresh)];
  const layers = new Map(wanted.map((fresh) => [freshKey(fresh), fresh]));
  let done = 0;
  for (const [key, layer] of layers) {
    done++;
    if (measured[key]) continue;
    const fresh = await measureQuality(layer, protocol, work);
    if (fresh === null) throw new Interrupted();
    measured[key] = fresh;
    writeWhole(file, JSON.stringify({ protocol: protocolKey(protocol), measured }));
    if (done % 10 === 0 || done === layers.size)
      work.say(`best layers evaluated afresh: ${done} of ${layers.size}`);
  }
  return measured;
}

const bestFresh = ({ planned, result: { best } }: Finding): Fresh[] =>
  best ? [{ genome: best.genome, seed: planned.freshSeed }] : [];

/** The known layers with the seeds of all runs. */
const knownFresh = ({ known, runs }: Study): Fresh[] =>
  [...new Set(runs.map(({ freshSeed }) => freshSeed))].flatMap((seed) =>
    known.map(({ genome }) => ({ genome, seed })),
  );

/** What was measured under this protocol before. */
function measuredIn(file: string, protocol: string): Measured {
  if (!existsSync(file)) return {};
  const stored = readJson(file);
  if (!isRecord(stored) || !isRecord(stored.measured))
    throw new UserError(`${file} was not written by evolayer; delete it, and go on.`, 1);
  return stored.protocol === protocol ? (stored.measured as Measured) : {};
}
