import type { Command } from 'commander';
import { estimate, percent } from '../../format.ts';
import type { OutlineNode } from '../../graph/outline.ts';
import { meanCurves } from '../../reading/curves.ts';
import { type Dossier, dossierOf } from '../../reading/dossier.ts';
import { describeFacts, type Fact } from '../../reading/facts.ts';
import type { Ancestor } from '../../reading/lineage.ts';
import type { EvaluationRecord } from '../../reading/scores.ts';
import { findLayerIn, readingLayers } from '../layers.ts';
import { dbOption, jsonOption } from '../options.ts';
import { outColours, print, printJson, table } from '../output.ts';
import { sketch } from '../sketch.ts';

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
  section('', [['formula', dossier.formula], ...describeFacts(dossier)]);
  print(`\n${outColours.bold('tree')}`);
  for (const line of dossier.tree) print(`  ${line}`);
  describeNodes(dossier.nodes);
  if (dossier.scores.length > 0) describeScores(dossier);
  if (dossier.evaluations.length > 0) describeEvaluations(dossier.evaluations);
  describeTraining(dossier.evaluations);
  describeStability(dossier.evaluations);
  if (dossier.lineage.length > 0) describeLineage(dossier.lineage);
}

function section(title: string, lines: readonly Fact[]) {
  if (title) print(`\n${outColours.bold(title)}`);
  const width = Math.max(...lines.map(([key]) => key.length));
  for (const [key, value] of lines) print(`${outColours.bold(key.padEnd(width))}  ${value}`);
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

function fall(losses: readonly number[]): string {
  const known = losses.map((loss) => (Number.isFinite(loss) ? loss : null));
  const sorted = known.filter((loss) => loss !== null).sort((a, b) => a - b);
  return sketch(known, sorted[0] ?? 0, sorted.at(-1) ?? 0);
}

/** How the losses fell in training, as means over evaluations; nothing where none are kept. */
function describeTraining(evaluations: readonly EvaluationRecord[]) {
  const protocols = [...new Set(evaluations.map(({ protocol }) => protocol))];
  const curves = protocols.flatMap((protocol) =>
    meanCurves(evaluations.filter((one) => one.protocol === protocol)).map((curve) => ({
      ...{ protocol, ...curve },
    })),
  );
  if (curves.length === 0) return;
  const digits = (loss: number | undefined) => loss?.toPrecision(3) ?? '';
  print(`\n${outColours.bold('training losses')}`);
  print(
    table(curves, [
      { head: 'protocol', value: ({ protocol }) => protocol },
      { head: 'anchor', value: ({ anchor }) => anchor },
      { head: 'n', value: ({ evaluations }) => evaluations, align: 'right' },
      { head: 'first', value: ({ losses }) => digits(losses[0]), align: 'right' },
      { head: 'last', value: ({ losses }) => digits(losses.at(-1)), align: 'right' },
      { head: 'over the steps', value: ({ losses }) => fall(losses) },
    ]),
  );
}

/** What the stability tests of evaluations measured, where there were any. */
function describeStability(evaluations: readonly EvaluationRecord[]) {
  const tests = evaluations.flatMap(({ protocol, repeat, perAnchor }) =>
    perAnchor.flatMap(({ anchor, stability }) =>
      stability ? [{ protocol, repeat, anchor, ...stability }] : [],
    ),
  );
  if (tests.length === 0) return;
  print(`\n${outColours.bold('norms of gradients in stability tests')}`);
  print(
    table(tests, [
      { head: 'protocol', value: ({ protocol }) => protocol },
      { head: 'repeat', value: ({ repeat }) => repeat, align: 'right' },
      { head: 'anchor', value: ({ anchor }) => anchor },
      { head: 'greatest', value: (t) => t.greatestNorm.toExponential(1), align: 'right' },
      { head: 'after steps', value: ({ greatestAt }) => greatestAt, align: 'right' },
      { head: 'in the end', value: (t) => t.gradientNorm.toExponential(1), align: 'right' },
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
