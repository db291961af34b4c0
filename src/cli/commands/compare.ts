import type { Command } from 'commander';
import type { Store } from '../../../db/store.ts';
import { UserError } from '../../errors.ts';
import { estimate, percent } from '../../format.ts';
import { type Comparison, compareIn } from '../../reading/comparison.ts';
import { reading } from '../../reading/open.ts';
import { findLayerIn, readingLayers } from '../layers.ts';
import { dbOption, jsonOption } from '../options.ts';
import { note, outColours, print, printJson, table } from '../output.ts';

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
  const ask = (store: Store | null) => {
    const layers = texts.map((text) => findLayerIn(store, text));
    return compareIn(store, layers, options.protocol);
  };
  const comparison =
    options.protocol === undefined
      ? readingLayers(texts, options.db, ask)
      : reading(options.db, ask);
  if (options.json) return printJson(comparison);
  describe(comparison);
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
