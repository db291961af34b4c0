import type { Store } from '../../../db/store.ts';
import { UserError } from '../../errors.ts';
import { ANCHORS } from '../../eval/anchors.ts';
import { datasetSource } from '../../eval/data-sources.ts';
import {
  overrideProtocol,
  overridesFromFlags,
  PROTOCOL_FLAGS,
  type ProtocolOverrides,
} from '../../eval/presets.ts';
import { type Protocol, parseProtocol, protocolKey } from '../../eval/protocol.ts';
import { mergeSettings } from '../../eval/settings.ts';
import { genomeOf, verifyGenome } from '../../graph/genome.ts';
import { ZOO, zooNameOf } from '../../graph/zoo.ts';
import { candidateId } from '../../search/ids.ts';
import type { Contestant } from '../../search/trials.ts';
import { didYouMean } from '../../suggest.ts';

/** Steps of a trial unless told: more than three times the quick preset's. */
const STEPS = 1000;

const DEFAULT_BASELINES = ['BN-ReLU', 'BN-SiLU', 'EvoNorm-B0', 'EvoNorm-S0'];

/** Settings of the trials in place of the search's; data sets are a list here, and of one all its validation images count. */
export const TRIAL_FLAGS = Object.fromEntries(
  Object.entries(PROTOCOL_FLAGS).filter(([name]) => name !== 'dataset' && name !== 'anchor'),
);

export interface PlanOptions extends Readonly<Record<string, unknown>> {
  readonly db: string;
  readonly top: number;
  readonly baseline?: readonly string[];
  readonly dataset?: readonly string[];
  readonly anchor?: readonly string[];
  /** Of the engine that trains, in place of the search's. */
  readonly numerics?: string;
}

/** A network on a data set. */
export interface Cell {
  readonly protocol: Protocol;
  readonly dataset: string;
  readonly anchor: string;
  /** False where the search used neither this network nor this data set. */
  readonly seen: boolean;
}

export interface Entrant extends Contestant {
  readonly title: string;
  readonly isKnown: boolean;
}

export interface Plan {
  readonly run: number;
  readonly cells: readonly Cell[];
  readonly entrants: readonly Entrant[];
}

/** Throws a UserError where there is no such run, or nothing to confirm in it. */
export function planOf(store: Store, wanted: number | undefined, options: PlanOptions): Plan {
  const id = wanted ?? store.runs.youngest();
  const run = id === null ? null : store.runs.byId(id);
  if (run === null)
    throw id === null ? new UserError(`${options.db} has no runs yet.`) : store.noRun(id);
  const found = store.leaderboard
    .top({ protocolKey: run.protocolKey, run: run.id, top: options.top + ZOO.length })
    .filter(({ functionalKey }) => zooNameOf(functionalKey) === null)
    .slice(0, options.top);
  if (found.length === 0)
    throw new UserError(
      `Run ${run.id} has no scored layers of its own; there is nothing to confirm.`,
    );
  const entrants = found.map(({ functionalKey, candidate, run, ...row }): Entrant => {
    verifyGenome(candidate.genome);
    const title = candidateId({ run, index: candidate.index });
    return { functionalKey, genome: candidate.genome, title, isKnown: row.baseline !== null };
  });
  const search = parseProtocol(store.runs.protocol(run.protocolKey));
  const known = (options.baseline ?? DEFAULT_BASELINES).map(baselineNamed);
  return { run: run.id, cells: cellsOf(search, options), entrants: [...entrants, ...known] };
}

function baselineNamed(name: string): Entrant {
  const known = ZOO.find((layer) => layer.name.toLowerCase() === name.trim().toLowerCase());
  if (known) {
    const { functionalKey, layer } = known;
    return { title: known.name, isKnown: true, functionalKey, genome: genomeOf(layer) };
  }
  const names = ZOO.map((layer) => layer.name);
  throw new UserError(
    `There is no layer ${JSON.stringify(name)} in the zoo, which has ${names.join(', ')}.${didYouMean(name, names)}`,
  );
}

/** Every network on every data set, each as a protocol of its own. */
function cellsOf(search: Protocol, options: PlanOptions): Cell[] {
  const flags = overridesFromFlags(options, TRIAL_FLAGS);
  const anchors = options.anchor ?? [...search.anchors, ...unseenFamily(search.anchors)];
  const datasets = options.dataset ?? [search.dataset.name];
  const steps = typeof flags.steps === 'number' ? flags.steps : Math.max(STEPS, search.steps);
  const cell = (name: string, anchor: string): Cell => {
    const isOther = name !== search.dataset.name;
    const dataset = isOther ? otherData(name) : heldOut(search.dataset);
    const usual = {
      ...{ dataset, steps, quality: { steps: 0 }, stability: false },
      timeout: search.timeout * Math.max(1, steps / search.steps),
      ...(options.numerics !== undefined && { numerics: options.numerics }),
    };
    const overrides = mergeSettings(usual, { ...flags, anchors: [anchor] }) as ProtocolOverrides;
    const protocol = overrideProtocol(search, overrides);
    return { protocol, dataset: name, anchor, seen: !isOther && search.anchors.includes(anchor) };
  };
  return [...new Set(datasets)].flatMap((name) => anchors.map((anchor) => cell(name, anchor)));
}

/** Images that the search did not choose by: test images, where the data set has some. */
function heldOut({ name, fold: used }: Protocol['dataset']): ProtocolOverrides['dataset'] {
  const { test, validation } = datasetSource(name);
  if (test > 0 && used !== 'test') return { name, fold: 'test', validation: test };
  return { name, fold: used === 1 ? 2 : 1, validation };
}

/** Of a data set that the search did not use; its test images may be those of the search's, under another name. */
const otherData = (name: string): Readonly<Record<string, unknown>> => ({
  ...{ name, hash: undefined, fold: undefined },
  validation: datasetSource(name).validation,
});

/** The first network that the search did not use, of the size that it used. */
function unseenFamily(anchors: readonly string[]): string[] {
  const isMini = (name: string) => name.startsWith('mini-');
  const used = anchors.some(isMini);
  const order = ['mini-mobile', 'mini-efficient', ...ANCHORS.keys()];
  const other = order.find((name) => isMini(name) === used && !anchors.includes(name));
  return other === undefined ? [] : [other];
}

/** As JSON has it. */
export const plainCell = ({ dataset, anchor, seen, protocol }: Cell) => ({
  ...{ dataset, anchor, seen, fold: protocol.dataset.fold ?? 0, steps: protocol.steps },
  protocol: protocolKey(protocol),
});

export const titles = (entrants: readonly Entrant[]): string[] =>
  entrants.map(({ title }) => title);
