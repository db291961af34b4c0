import { type Store, usingStore } from '../../db/store.ts';
import { UserError } from '../errors.ts';
import { loadDataset } from '../eval/data.ts';
import { engineWith } from '../eval/engines.ts';
import { evaluateLayer } from '../eval/evaluate.ts';
import { describeOutcome, type Outcome } from '../eval/outcome.ts';
import { evaluationSeed, type Protocol, parseProtocol, protocolKey } from '../eval/protocol.ts';
import { estimate, printable } from '../format.ts';
import { layerOf } from '../graph/genome.ts';
import type { LayerGraph } from '../graph/graph.ts';
import { formatLayer } from '../graph/text.ts';
import { fitnessOver } from '../reading/entries.ts';
import { functionalKeyOf } from '../reading/layers.ts';
import { protocolFor } from '../reading/protocols.ts';
import { findLayerIn } from './layers.ts';
import { note, print, printJson } from './output.ts';

export interface RepeatOptions {
  readonly db: string;
  /** How many evaluations there shall be, the first one included. */
  readonly repeats: number;
  readonly protocol?: string;
  readonly json?: true;
}

interface Subject {
  readonly layer: LayerGraph;
  readonly functionalKey: string;
  readonly protocol: Protocol;
  readonly protocolKey: string;
}

/**
 * Evaluates a layer that was scored before again, under the same protocol with other seeds, until it has
 * `repeats` evaluations. Each is stored when it is done, so that what was interrupted goes on from there.
 */
export function saveRepeats(text: string, options: RepeatOptions): Promise<void> {
  return usingStore(options.db, {}, (store) => {
    const subject = subjectOf(text, options, store);
    const missed = evaluateMissing(subject, options.repeats, store);
    report(subject, store, options);
    if (missed > 0)
      throw new UserError(
        `${missed} evaluations took longer than the protocol's ${subject.protocol.timeout} s and were not stored; try again on a machine that is not busy.`,
        1,
      );
  });
}

function subjectOf(text: string, { db, protocol: wanted }: RepeatOptions, store: Store): Subject {
  const named = findLayerIn(store, text);
  const functionalKey = functionalKeyOf(named);
  const key =
    wanted === undefined && named.candidate
      ? named.candidate.protocolKey
      : protocolFor(store, wanted === undefined ? {} : { protocol: wanted });
  const genome =
    key === null || functionalKey === null ? null : store.history.genomeOf(key, functionalKey);
  if (key === null || functionalKey === null || genome === null)
    throw new UserError(
      `${JSON.stringify(text.trim())} was not scored in ${db}${key === null ? '' : ` under protocol ${printable(key)}`}, so that there is nothing to repeat; --save is for layers that a search scored.`,
    );
  return {
    functionalKey,
    protocolKey: key,
    protocol: storedProtocol(key, store),
    layer: layerOf(genome),
  };
}

/** The protocol, which must mean here what it meant when it was stored. */
function storedProtocol(key: string, { runs }: Store): Protocol {
  const protocol = parseProtocol(runs.protocol(key));
  if (protocolKey(protocol) === key) return protocol;
  throw new UserError(
    `Protocol ${printable(key)} is of another version of evolayer, under which this one cannot evaluate.`,
    1,
  );
}

/** Returns how many evaluations ran out of time, which may be the machine's fault. */
function evaluateMissing(subject: Subject, repeats: number, store: Store): number {
  const { layer, functionalKey, protocol, protocolKey } = subject;
  const done = new Set(
    store.history
      .ofFunction(functionalKey)
      .filter((past) => past.protocolKey === protocolKey)
      .map(({ repeat }) => repeat),
  );
  const missing = Array.from({ length: repeats }, (_, i) => i).filter((i) => !done.has(i));
  if (missing.length === 0) return 0;
  const engine = engineWith(protocol.numerics);
  const dataset = loadDataset(protocol.dataset.name, protocol.dataset);
  let missed = 0;
  for (const repeat of missing) {
    const start = performance.now();
    const seed = evaluationSeed(protocol, functionalKey, repeat);
    const outcome = evaluateLayer({ layer, protocol, seed, dataset, engine });
    const seconds = (performance.now() - start) / 1000;
    note(`evaluation ${repeat + 1} of ${repeats}: ${describeOutcome(outcome)}`);
    if (outcome.outcome === 'timeout') missed++;
    else save({ ...subject, repeat, seconds, outcome }, store);
  }
  return missed;
}

type Done = Subject & { repeat: number; seconds: number; outcome: Outcome };

const save = ({ protocolKey, functionalKey, repeat, seconds, outcome }: Done, store: Store): void =>
  store.saveEvaluation({
    ...{ protocolKey, functionalKey, repeat, seconds, outcome },
    at: new Date().toISOString(),
  });

function report(
  { layer, functionalKey, protocol, protocolKey }: Subject,
  store: Store,
  { json }: RepeatOptions,
) {
  const all = store.history
    .ofFunction(functionalKey)
    .filter((past) => past.protocolKey === protocolKey)
    .map(({ outcome }) => outcome);
  const scored = all.flatMap((outcome) =>
    outcome.outcome === 'evaluated' ? [outcome.perAnchor.map(({ accuracy }) => accuracy)] : [],
  );
  const fitness = fitnessOver(scored, protocol.anchors);
  const formula = formatLayer(layer);
  const counts = { evaluations: scored.length, rejected: all.length - scored.length };
  if (json) return printJson({ formula, functionalKey, protocol: protocolKey, ...counts, fitness });
  print(formula);
  print(`mean ${estimate(fitness.mean, fitness.interval)}`);
  for (const { anchor, accuracy, interval } of fitness.perAnchor)
    print(`${anchor} ${estimate(accuracy, interval)}`);
  const failed = counts.rejected > 0 ? `, ${counts.rejected} more were rejected` : '';
  print(`${counts.evaluations} evaluations under protocol ${printable(protocolKey)}${failed}`);
}
