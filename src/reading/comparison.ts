import type { Store } from '../../db/store.ts';
import { printable } from '../format.ts';
import { graphDifference, outline } from '../graph/outline.ts';
import { candidateId } from '../search/ids.ts';
import { factsOf, type LayerFacts, type NamedLayer } from './layers.ts';
import { protocolFor } from './protocols.ts';
import { accuraciesUnder, noiseOf, type Score, scoreOf } from './scores.ts';
import { mean, welch } from './statistics.ts';

export type Comparison = ReturnType<typeof compareIn>;

/** A layer with what is known of it. */
interface Subject {
  readonly named: NamedLayer;
  readonly facts: LayerFacts;
  readonly title: string;
}

/** Compares layers under a protocol: each of the others with the first one. */
export function compareIn(
  store: Store | null,
  layers: readonly NamedLayer[],
  protocol: string | undefined,
) {
  const subjects = layers.map((named): Subject => {
    const facts = factsOf(named);
    const id = named.candidate && candidateId(named.candidate);
    return { named, facts, title: id ?? facts.zooName ?? facts.formula };
  });
  const key = store && commonProtocol(subjects, store, protocol);
  const scores = subjects.map(({ facts }) =>
    store && key !== null && facts.functionalKey !== null
      ? scoreOf(facts.functionalKey, key, store)
      : null,
  );
  const accuracies = subjects.map(({ facts }) =>
    store && key !== null && facts.functionalKey !== null
      ? accuraciesUnder(store.history.ofFunction(facts.functionalKey), key)
      : [],
  );
  return {
    protocol: key === null ? null : printable(key),
    noise: store && key !== null ? noiseOf(key, store) : null,
    layers: subjects.map(({ facts, title }, i) => {
      const { genome: _, ...rest } = facts;
      return { layer: title, ...rest, score: scores[i] ?? null };
    }),
    pairs: subjects.slice(1).map((subject, i) => ({
      ...{ first: subjects[0]!.title, second: subject.title },
      ...differenceOf(subjects[0]!, subject),
      scores: scoreDifference(accuracies[0]!, accuracies[i + 1]!, scores[0] ?? null),
    })),
  };
}

/** The wanted protocol, or of those that scored all layers the one of the youngest run; null where there is none. */
function commonProtocol(
  subjects: readonly Subject[],
  store: Store,
  wanted: string | undefined,
): string | null {
  if (wanted !== undefined) return protocolFor(store, { protocol: wanted });
  const scoring = subjects.map(({ facts }) =>
    facts.functionalKey === null
      ? []
      : store.history.standings(facts.functionalKey).map(({ protocolKey }) => protocolKey),
  );
  return (
    store.protocols.byAge().find((key) => scoring.every((keys) => keys.includes(key))) ??
    store.protocols.byAge().find((key) => scoring.some((keys) => keys.includes(key))) ??
    null
  );
}

function differenceOf(a: Subject, b: Subject) {
  const { shared, onlyFirst, onlySecond } = graphDifference(a.named.layer, b.named.layer);
  const describeNodes = ({ named }: Subject, ids: readonly number[]) => {
    const nodes = outline(named.layer);
    const name = (id: number) =>
      nodes[id]!.args.length > 0 ? `#${id}` : nameOfLeaf(nodes[id]!.op);
    return ids.map((id) => {
      const { op, index, args } = nodes[id]!;
      return `#${id} = ${index ? `${op}[${index}]` : op}(${args.map(name).join(', ')})`;
    });
  };
  return {
    sameFunction: a.facts.functionalKey !== null && a.facts.functionalKey === b.facts.functionalKey,
    sameGraph: a.facts.structuralKey === b.facts.structuralKey,
    sharedNodes: shared,
    onlyFirst: describeNodes(a, onlyFirst),
    onlySecond: describeNodes(b, onlySecond),
  };
}

const nameOfLeaf = (op: string) => (op === 'zero' ? '0' : op);

/** Second minus first, with Welch's test where both were evaluated more than once. */
function scoreDifference(
  a: readonly (readonly number[])[],
  b: readonly (readonly number[])[],
  score: Score | null,
) {
  if (!score || a.length === 0 || b.length === 0) return null;
  const compareValues = (first: readonly number[], second: readonly number[]) => {
    const test = welch(first, second);
    const { interval = null, p = null } = test ?? {};
    return { difference: mean(second) - mean(first), interval, p };
  };
  const perAnchor = score.fitness.perAnchor.map(({ anchor }, i) => ({
    anchor,
    ...compareValues(
      a.map((one) => one[i]!),
      b.map((one) => one[i]!),
    ),
  }));
  return { mean: compareValues(a.map(mean), b.map(mean)), perAnchor };
}
