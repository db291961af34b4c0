import type { Overrides } from '../../eval/settings.ts';
import { genomeOf } from '../../graph/genome.ts';
import { ZOO } from '../../graph/zoo.ts';
import type { SearchConfig } from '../config.ts';
import { type Arm, studyConfig } from './arms.ts';
import {
  type KnownLayer,
  mostProposals,
  type PlannedRun,
  plannedRun,
  type Study,
  seedsOf,
} from './study.ts';

/** The arm that the others are compared with. */
export const SEARCH_CONTROL = 'random';
/** The search as it is unless told otherwise. */
const DEFAULT = 'evolution-pareto';

/** Whoever is proposed is trained to the end, unless it cannot be. */
const UNTESTED: Overrides<SearchConfig> = { protocol: { quality: { steps: 0 } } };

/** The control arms of "Evolving Normalization-Activation Layers" (arXiv 2004.02967), and the search itself. */
export const SEARCH_ARMS: readonly Arm[] = [
  {
    name: 'random-untested',
    doc: 'random layers, all trained to the end that can be',
    overrides: { ...UNTESTED, algorithm: 'random' },
  },
  {
    name: SEARCH_CONTROL,
    doc: 'random layers, those rejected early that fail the quality test',
    overrides: { algorithm: 'random' },
  },
  {
    name: 'evolution-untested',
    doc: 'evolution as evolution-pareto, all layers trained to the end that can be',
    overrides: { ...UNTESTED, algorithm: 'evolution', criterion: 'pareto' },
  },
  {
    name: 'evolution-average',
    doc: 'evolution with rejection; the best mean accuracy wins a tournament',
    overrides: { algorithm: 'evolution', criterion: 'average' },
  },
  {
    name: DEFAULT,
    doc: 'evolution with rejection; a random member of a tournament’s Pareto front wins it',
    overrides: { algorithm: 'evolution', criterion: 'pareto' },
  },
];

/** Evaluated candidates before evolution begins, where a preset that starts from known layers asks for fewer. */
const FEWEST_FOUNDERS = 10;

export interface SearchStudyOptions extends Pick<Study, 'budget' | 'folder'> {
  readonly config: SearchConfig;
  /** Names of SEARCH_ARMS. */
  readonly arms: readonly string[];
  readonly seeds: number;
}

/** Nothing starts from known layers, so that what is found was found by the search; those scored beside the runs are the baselines given. */
export function searchStudy({ config, seeds, ...options }: SearchStudyOptions): Study {
  const founders = Math.max(config.founders, FEWEST_FOUNDERS);
  const study = {
    ...options,
    base: studyConfig(config, mostProposals(options.budget), { warmStart: [], founders }),
    arms: SEARCH_ARMS.filter(({ name }) => options.arms.includes(name)),
    seeds: seedsOf(seeds),
    known: config.baselines.map(knownLayer),
  };
  return { ...study, runs: searchRuns(study) };
}

function knownLayer(name: string): KnownLayer {
  const { layer } = ZOO.find((known) => known.name === name)!;
  return { name, genome: genomeOf(layer) };
}

/**
 * The comparison that matters most is there first, with all seeds; of the rest, one seed after the other.
 * Fresh evaluations are those of the run's seed: then the runs of different seeds are independent, also where
 * they found the same layer, and the luck of a seed cancels where runs of one seed are compared.
 */
function searchRuns(study: Omit<Study, 'runs'>): PlannedRun[] {
  const { arms, seeds, budget } = study;
  const isFirst = ({ name }: Arm) => name === SEARCH_CONTROL || name === DEFAULT;
  const runsOf = (some: readonly Arm[]) =>
    seeds.flatMap((seed) =>
      some.map((arm) => plannedRun(study, { arm, part: 'arms', seed, freshSeed: seed, budget })),
    );
  return [...runsOf(arms.filter(isFirst)), ...runsOf(arms.filter((arm) => !isFirst(arm)))];
}
