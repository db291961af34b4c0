import type { Store } from '../../db/store.ts';
import { describeOutcome } from '../eval/outcome.ts';
import { printable } from '../format.ts';
import { outline, treeOf } from '../graph/outline.ts';
import { candidateId } from '../search/ids.ts';
import { factsOf, type NamedLayer } from './layers.ts';
import { lineageOf, nameOf } from './lineage.ts';
import { recordOf, scoreOf } from './scores.ts';

export type Dossier = ReturnType<typeof dossierOf>;

/** Everything that is known of a layer. */
export function dossierOf(named: NamedLayer, store: Store | null) {
  const facts = factsOf(named);
  const { functionalKey } = facts;
  const past =
    store && functionalKey !== null
      ? store.history.ofFunction(functionalKey, { curves: true })
      : [];
  return {
    ...facts,
    tree: treeOf(named.layer),
    nodes: outline(named.layer),
    candidate: candidateOf(named, store),
    scores: store && functionalKey !== null ? scoresOf(functionalKey, store) : [],
    evaluations: past.map(recordOf),
    lineage: named.candidate && store ? lineageOf(named.candidate, store) : [],
  };
}

function candidateOf({ candidate }: NamedLayer, store: Store | null) {
  if (!candidate) return null;
  const { run, stored, protocolKey } = candidate;
  const { origin, outcome, tier, repeat, evaluations, fitness } = stored;
  const parent =
    origin.kind === 'mutation' ? (store?.candidates.at(run, origin.parent) ?? null) : null;
  return {
    id: candidateId(candidate),
    origin: origin.kind,
    parent: parent && nameOf(run, parent),
    ...{ outcome: outcome.outcome, description: printable(describeOutcome(outcome)) },
    ...{ tier, repeat, evaluations, fitness, protocol: printable(protocolKey) },
  };
}

/** Under every protocol that scored the layer, with the known layers beside it. */
function scoresOf(functionalKey: string, store: Store) {
  return store.history.standings(functionalKey).map(({ protocolKey }) => ({
    protocol: printable(protocolKey),
    ...scoreOf(functionalKey, protocolKey, store)!,
    baselines: store.history.baselines(protocolKey).map((baseline) => ({
      name: printable(baseline.name),
      ...scoreOf(baseline.functionalKey, protocolKey, store)!,
    })),
  }));
}
