import type { Store } from '../../db/store.ts';
import { UserError } from '../errors.ts';
import type { Protocol } from '../eval/protocol.ts';
import type { Exported, Scores } from '../export/exported.ts';
import { candidateId } from '../search/ids.ts';
import { factsOf, type NamedLayer } from './layers.ts';

/** The layer as targets get it, with what the database says of it, or with `told` where that is known. */
export function exportedOf(
  store: Store | null,
  named: NamedLayer,
  told: (functionalKey: string) => Measured | null = () => null,
): Exported {
  const { layer, candidate } = named;
  const { functionalKey, formula, zooName, structuralKey } = factsOf(named);
  if (functionalKey === null)
    throw new UserError(
      'This layer is not finite or constant, so that there is nothing to export.',
    );
  const measured = told(functionalKey) ?? (store && measuredIn(store, named, functionalKey));
  return {
    layer,
    formula,
    zooName,
    structuralKey,
    genome: named.genome,
    id: functionalKey,
    found: candidate && candidateId(candidate),
    ...(measured ?? { scores: null, ...PAPER }),
  };
}

export type Measured = Pick<Exported, 'scores' | 'groups' | 'movingDecay'> &
  Partial<Pick<Exported, 'found'>>;

/** What the database says, under the protocol of the layer's own run or of the last one. */
function measuredIn(store: Store, named: NamedLayer, functionalKey: string): Measured | null {
  const key = named.candidate?.protocolKey ?? store.protocols.ofLastRun();
  if (key === null) return null;
  const scores = store.evaluations.ofFunction(key, functionalKey);
  if (scores.length === 0) return null;
  const { groups, movingDecay } = store.runs.protocol(key) as Protocol;
  return { scores: summary(key, scores), groups, movingDecay };
}

/** Defaults for layers that were not scored here, from the EvoNorm paper's code (arXiv 2004.02967). */
const PAPER = { groups: 32, movingDecay: 0.9 } as const;

const mean = (values: readonly number[]) => values.reduce((a, b) => a + b, 0) / values.length;

function summary(
  protocol: string,
  scores: readonly { anchor: string; accuracy: number; repeat: number }[],
): Scores {
  const anchors = [...new Set(scores.map(({ anchor }) => anchor))];
  const perAnchor = anchors.map((anchor) => ({
    anchor,
    accuracy: mean(scores.filter((s) => s.anchor === anchor).map((s) => s.accuracy)),
  }));
  return {
    protocol,
    mean: mean(perAnchor.map(({ accuracy }) => accuracy)),
    perAnchor,
    evaluations: new Set(scores.map(({ repeat }) => repeat)).size,
  };
}

/** The layer as pictures and formulas get it, which need no score, and no function either. */
export function picturedOf(named: NamedLayer): Exported {
  const { functionalKey, formula, zooName, structuralKey } = factsOf(named);
  const { layer, genome } = named;
  const id = functionalKey ?? structuralKey;
  return {
    layer,
    formula,
    zooName,
    structuralKey,
    genome,
    id,
    scores: null,
    found: null,
    ...PAPER,
  };
}
