import type { Command } from 'commander';
import type { Store } from '../../../db/store.ts';
import { describeOutcome } from '../../eval/outcome.ts';
import { type OutlineNode, outline, treeOf } from '../../graph/outline.ts';
import { candidateId } from '../../search/ids.ts';
import { factsOf, findLayerIn, type NamedLayer, readingLayers } from '../layers.ts';
import { type Ancestor, lineageOf, nameOf } from '../lineage.ts';
import { dbOption, jsonOption } from '../options.ts';
import { estimate, outColours, percent, print, printJson, table } from '../output.ts';
import { type EvaluationRecord, recordOf, scoreOf } from '../scores.ts';
import { printable } from '../text.ts';

export const showCommand = (program: Command) =>
  program
    .command('show')
    .argument('<layer>', 'id, zoo name, formula or file')
    .addOption(dbOption())
    .addOption(jsonOption())
    .action(show);

function show(text: string, { db, json }: { db: string; json?: true }) {
  const dossier = readingLayers([text], db, (store) => dossierOf(findLayerIn(store, text), store));
  if (json) return printJson(dossier);
  section('', describeFacts(dossier));
  print(`\n${outColours.bold('tree')}`);
  for (const line of dossier.tree) print(`  ${line}`);
  describeNodes(dossier.nodes);
  if (dossier.scores.length > 0) describeScores(dossier);
  if (dossier.evaluations.length > 0) describeEvaluations(dossier.evaluations);
  if (dossier.lineage.length > 0) describeLineage(dossier.lineage);
}

type Dossier = ReturnType<typeof dossierOf>;

/** Everything that is known of a layer. */
function dossierOf(named: NamedLayer, store: Store | null) {
  const facts = factsOf(named);
  const { functionalKey } = facts;
  const past = store && functionalKey !== null ? store.history.ofFunction(functionalKey) : [];
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

type Line = readonly [key: string, value: string];

function section(title: string, lines: readonly Line[]) {
  if (title) print(`\n${outColours.bold(title)}`);
  const width = Math.max(...lines.map(([key]) => key.length));
  for (const [key, value] of lines) print(`${outColours.bold(key.padEnd(width))}  ${value}`);
}

function describeFacts(dossier: Dossier): Line[] {
  const { candidate } = dossier;
  const lines: Line[] = [
    ['formula', dossier.formula],
    ['in the zoo', dossier.zooName ?? 'no'],
    [
      'series',
      dossier.batchIndependent ? 'S (does not depend on the batch)' : 'B (batch-dependent)',
    ],
    ['live nodes', String(dossier.liveNodes)],
    ['functional key', dossier.functionalKey ?? 'none: not finite, or constant'],
    ['structural key', dossier.structuralKey],
  ];
  if (!candidate) return lines;
  const { parent, origin, outcome, description } = candidate;
  return [
    ...lines,
    ['id', candidate.id],
    ['made as', parent === null ? `${origin} graph` : `mutation of ${parent}`],
    ['outcome', `${outcome}: ${description}`],
    ...describeBasis(candidate),
    ['protocol', candidate.protocol],
  ];
}

/** What an outcome rests on, where that is not one evaluation of its own. */
function describeBasis({ tier, repeat, evaluations }: NonNullable<Dossier['candidate']>): Line[] {
  if (evaluations === null || (evaluations === 1 && repeat !== null)) return [];
  const count = evaluations === 1 ? '1 evaluation' : `${evaluations} evaluations`;
  if (repeat !== null) return [['rests on', `${count}, the last one its own`]];
  return [['rests on', `${count} of the same ${tier === 'structural' ? 'graph' : 'function'}`]];
}

const AXES: Readonly<Record<string, string>> = {
  ...{ b: 'batch', s: 'space', c: 'channel', g: 'group' },
};

const axesOf = (extent: string): string =>
  [...extent].map((axis) => AXES[axis] ?? axis).join(' ') || 'nothing';

function describeNodes(nodes: readonly OutlineNode[]) {
  print(`\n${outColours.bold('nodes')}`);
  print(
    table(nodes, [
      { head: '#', value: ({ id }) => id, align: 'right' },
      { head: 'op', value: ({ op, index }) => (index ? `${op}[${index}]` : op) },
      { head: 'of', value: ({ args }) => args.map((id) => `#${id}`).join(' ') },
      { head: 'varies over', value: ({ extent }) => axesOf(extent) },
      { head: 'uses', value: ({ uses }) => uses, align: 'right' },
    ]),
  );
}

function describeScores({ scores }: Dossier) {
  for (const { protocol, baselines, ...own } of scores) {
    print(`\n${outColours.bold(`under protocol ${protocol}`)}, of ${own.of} layers`);
    const rows = [{ name: 'this layer', ...own }, ...baselines].sort((a, b) => a.rank - b.rank);
    print(
      table(rows, [
        { head: '#', value: ({ rank }) => rank, align: 'right' },
        { head: 'layer', value: ({ name }) => name },
        { head: 'mean', value: ({ fitness: f }) => estimate(f.mean, f.interval), align: 'right' },
        { head: 'n', value: ({ evaluations }) => evaluations, align: 'right' },
      ]),
    );
  }
}

function describeEvaluations(evaluations: readonly EvaluationRecord[]) {
  print(`\n${outColours.bold('evaluations')}`);
  print(
    table(evaluations, [
      { head: 'protocol', value: ({ protocol }) => protocol },
      { head: 'repeat', value: ({ repeat }) => repeat, align: 'right' },
      { head: 'date', value: ({ at }) => at.slice(0, 16).replace('T', ' ') },
      { head: 'made for', value: ({ madeFor }) => madeFor },
      { head: 'result', value: ({ description }) => description, flexible: true },
    ]),
  );
}

function describeLineage(lineage: readonly Ancestor[]) {
  print(`\n${outColours.bold('lineage')}`);
  for (const { id, origin, formula, fitness, changes, changesLayer } of lineage) {
    const score = fitness === null ? '' : `  ${percent(fitness)}`;
    for (const { node, before, after } of changes ?? [])
      print(`    #${node}: ${before} → ${after}`);
    if (changesLayer === false) print('    the layer stays the same');
    print(`  ${outColours.bold(id)}${changes === null ? `  ${origin}` : ''}${score}  ${formula}`);
  }
}
