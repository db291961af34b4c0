import type { Command } from 'commander';
import type { Store } from '../../../db/store.ts';
import { UserError } from '../../errors.ts';
import { graphDifference, outline } from '../../graph/outline.ts';
import { candidateId } from '../../search/ids.ts';
import {
  factsOf,
  findLayerIn,
  type LayerFacts,
  type NamedLayer,
  readingLayers,
} from '../layers.ts';
import { dbOption, jsonOption } from '../options.ts';
import { estimate, note, outColours, percent, print, printJson, table } from '../output.ts';
import { protocolFor } from '../protocols.ts';
import { reading } from '../reading.ts';
import { accuraciesUnder, noiseOf, type Score, scoreOf } from '../scores.ts';
import { mean, welch } from '../statistics.ts';
import { printable } from '../text.ts';

export const compareCommand = (program: Command) =>
  program
    .command('compare')
    .argument('<layer>', 'id, zoo name, formula or file')
    .argument('<others...>', 'what to compare it with')
    .option(
      '--protocol <key>',
      'the protocol, or how its key begins; the youngest common one otherwise',
    )
    .addOption(dbOption())
    .addOption(jsonOption())
    .action(compare);

interface Options {
  readonly db: string;
  readonly protocol?: string;
  readonly json?: true;
}

const MOST = 50;

function compare(first: string, others: readonly string[], options: Options) {
  const texts = [first, ...others];
  if (texts.length > MOST)
    throw new UserError(`${texts.length} layers are too many to compare; ${MOST} are the most.`);
  const ask = (store: Store | null) => compareIn(store, texts, options);
  const comparison =
    options.protocol === undefined
      ? readingLayers(texts, options.db, ask)
      : reading(options.db, ask);
  if (options.json) return printJson(comparison);
  describe(comparison);
}

type Comparison = ReturnType<typeof compareIn>;

/** A layer with what is known of it. */
interface Subject {
  readonly named: NamedLayer;
  readonly facts: LayerFacts;
  readonly title: string;
}

function compareIn(store: Store | null, texts: readonly string[], { protocol }: Options) {
  const subjects = texts.map((text): Subject => {
    const named = findLayerIn(store, text);
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

function describe({ protocol, noise, layers, pairs }: Comparison) {
  const anchors = layers.find(({ score }) => score)?.score?.fitness.perAnchor ?? [];
  print(
    table(layers, [
      {
        head: 'layer',
        value: ({ layer, zooName }) =>
          zooName && zooName !== layer ? `${layer} (${zooName})` : layer,
        flexible: true,
      },
      ...(protocol === null
        ? []
        : [
            { head: '#', value: ({ score }: Row) => score?.rank ?? '', align: 'right' as const },
            {
              head: 'mean',
              value: ({ score }: Row) =>
                score ? estimate(score.fitness.mean, score.fitness.interval) : 'not scored',
              align: 'right' as const,
            },
            ...anchors.map(({ anchor }, i) => ({
              head: anchor,
              value: ({ score }: Row) => {
                const one = score?.fitness.perAnchor[i];
                return one ? estimate(one.accuracy, one.interval) : '';
              },
              align: 'right' as const,
            })),
            {
              head: 'n',
              value: ({ score }: Row) => score?.evaluations ?? '',
              align: 'right' as const,
            },
          ]),
      { head: 'nodes', value: ({ liveNodes }) => liveNodes, align: 'right' },
      { head: 'B/S', value: ({ batchIndependent }) => (batchIndependent ? 'S' : 'B') },
      { head: 'formula', value: ({ formula }) => formula, flexible: true },
    ]),
  );
  for (const pair of pairs) describePair(pair);
  note(describeProtocol(protocol, noise));
}

type Row = Comparison['layers'][number];

function describePair(pair: Comparison['pairs'][number]) {
  print(`\n${outColours.bold(`${pair.second} against ${pair.first}`)}`);
  print(`  ${verdict(pair)}`);
  if (!pair.sameGraph) {
    print(`  ${pair.sharedNodes} nodes in common`);
    for (const line of pair.onlyFirst) print(`  - ${line}`);
    for (const line of pair.onlySecond) print(`  + ${line}`);
  }
  if (pair.scores === null) return print('  not both were scored under one protocol');
  const { mean: overall, perAnchor } = pair.scores;
  for (const one of [{ anchor: 'mean', ...overall }, ...perAnchor])
    print(`  ${one.anchor}: ${describeDifference(one)}`);
  if (overall.p === null && !pair.sameFunction)
    print(
      '  A single evaluation does not tell how much of this is chance; `evolayer evaluate LAYER --save --repeats 5` adds more.',
    );
}

function verdict({ sameGraph, sameFunction }: Comparison['pairs'][number]): string {
  if (sameGraph) return 'the same graph';
  return sameFunction ? 'the same function, spelled differently' : 'different functions';
}

type Difference = NonNullable<Comparison['pairs'][number]['scores']>['mean'];

const SIGNIFICANT = 0.05;

function describeDifference({ difference, interval, p }: Difference): string {
  const points = `${difference >= 0 ? '+' : '−'}${percent(Math.abs(difference)).replace(' %', '')}`;
  if (p === null || interval === null) return `${points} points`;
  const [low, high] = interval.map((end) => (100 * end).toFixed(2));
  const said = p < SIGNIFICANT ? 'significant' : 'not significant';
  return `${points} points, 95 % interval ${low} to ${high}, p = ${p.toPrecision(2)} (${said})`;
}

function describeProtocol(protocol: string | null, noise: Comparison['noise']): string {
  if (protocol === null) return 'No protocol scored any of them.';
  if (noise === null)
    return `Protocol ${protocol}; nothing was evaluated twice, so that its noise is not known.`;
  return `Protocol ${protocol}; one evaluation is off by ${(100 * noise.deviation).toFixed(2)} points (standard deviation, from ${noise.functions} layers).`;
}
