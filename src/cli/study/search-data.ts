import { datasetSource } from '../../eval/data-sources.ts';
import { protocolKey } from '../../eval/protocol.ts';
import { layerOf } from '../../graph/genome.ts';
import { formatLayer } from '../../graph/text.ts';
import { holm, mean, type PairedTest, pairedTest } from '../../reading/statistics.ts';
import { freshKey } from '../../search/study/quality.ts';
import { SEARCH_CONTROL } from '../../search/study/search.ts';
import type { Study } from '../../search/study/study.ts';
import {
  type CurvePoint,
  curveOf,
  type Described,
  describedArm,
  type Estimate,
  estimateOf,
  type Findings,
  over,
  type RunData,
  runsOf,
  type Summary,
  summaryOf,
} from './summary.ts';

/** An arm less the control arm, seed by seed, in fresh evaluations. */
export interface Gain extends PairedTest {
  /** As `p`, for the comparisons of all arms together (Holm). */
  readonly corrected: number;
}

export interface SearchArmData extends Described, Summary {
  /** Candidates trained to the end. */
  readonly trained: Estimate;
  /** Of the best layer as the runs measured it; a run without any has what guessing gives, as below. */
  readonly best: Estimate;
  /** Of the best layer in fresh evaluations. */
  readonly quality: Estimate;
  /** Null for the control arm, without it, and where one seed says nothing about chance. */
  readonly gain: Gain | null;
  readonly curve: readonly CurvePoint[];
}

export interface KnownData {
  readonly name: string;
  readonly formula: string;
  /** As those of the runs' best layers, by seed. */
  readonly fresh: readonly (readonly number[])[];
  /** Over the seeds. */
  readonly quality: Estimate;
}

export interface SearchData {
  readonly study: 'search';
  readonly protocol: string;
  readonly budget: number;
  readonly seeds: readonly number[];
  /** The accuracy of guessing. */
  readonly guess: number;
  readonly arms: readonly SearchArmData[];
  readonly baselines: readonly KnownData[];
}

export function searchData(study: Study, findings: Findings): SearchData {
  const { budget, seeds, base } = study;
  const guess = 1 / datasetSource(base.protocol.dataset.name).classes;
  const runs = study.arms.map(({ name }) => runsOf(findings, 'arms', name));
  const control = study.arms.findIndex(({ name }) => name === SEARCH_CONTROL);
  const gains = gainsOver(
    control,
    runs.map((ofArm) => ofArm.map(freshMean(guess))),
  );
  return {
    ...{ study: 'search', protocol: protocolKey(base.protocol), budget, seeds, guess },
    arms: study.arms.map((arm, i) => ({
      ...describedArm(arm),
      ...summaryOf(runs[i]!),
      trained: over(runs[i]!, ({ trained }) => trained),
      best: over(runs[i]!, ({ best }) => best?.fitness ?? guess),
      quality: over(runs[i]!, freshMean(guess)),
      gain: gains[i]!,
      curve: curveOf(runs[i]!, budget, guess),
    })),
    baselines: study.known.map(({ name, genome }) => {
      const fresh = seeds.map((seed) => findings.quality[freshKey({ genome, seed })]!);
      const quality = estimateOf(fresh.map(mean));
      return { name, formula: formatLayer(layerOf(genome)), fresh, quality };
    }),
  };
}

const freshMean =
  (guess: number) =>
  ({ best }: RunData): number =>
    best ? mean(best.fresh) : guess;

/** `values` of each arm by seed; `control` is the index of the control arm, −1 where it is not there. */
function gainsOver(control: number, values: readonly (readonly number[])[]): (Gain | null)[] {
  const others = values[control];
  if (!others || others.length < 2) return values.map(() => null);
  const tests = values.map((ours, i) =>
    i === control ? null : pairedTest(ours.map((value, seed) => value - others[seed]!)),
  );
  const corrected = holm(tests.flatMap((test) => (test ? [test.p] : [])));
  return tests.map((test) => test && { ...test, corrected: corrected.shift()! });
}
