import { type Command, Option } from 'commander';
import { UserError } from '../../errors.ts';
import type { Protocol } from '../../eval/protocol.ts';
import { type CodeStyle, type Exported, LAYOUTS, type Scores } from '../../export/exported.ts';
import { checkClassName, defaultClassName } from '../../export/python.ts';
import { TARGETS, type TargetName } from '../../export/targets.ts';
import { writeWhole } from '../files.ts';
import { factsOf, findLayer, type NamedLayer } from '../layers.ts';
import { dbOption } from '../options.ts';
import { note } from '../output.ts';
import { readingIfThere } from '../reading.ts';

const TARGET_NAMES = Object.keys(TARGETS) as TargetName[];

export const exportCommand = (program: Command) =>
  program
    .command('export')
    .argument('<layer>', 'id, zoo name or formula')
    .addOption(
      new Option('--to <target>', 'what to write').choices(TARGET_NAMES).makeOptionMandatory(),
    )
    .option('-o, --output <file>', 'the file')
    .option('--name <class>', 'name of the class')
    .addOption(
      new Option('--layout <axes>', 'order of the axes').choices(LAYOUTS).default(LAYOUTS[0]),
    )
    .addOption(dbOption())
    .action(exportLayer);

export interface ExportOptions {
  readonly db: string;
  readonly to: TargetName;
  readonly output?: string;
  readonly name?: string;
  readonly layout: CodeStyle['layout'];
}

export async function exportLayer(text: string, options: ExportOptions) {
  const exported = exportedOf(findLayer(text, options.db), options.db);
  const className = checkClassName(options.name ?? defaultClassName(exported));
  const style = { className, layout: options.layout };
  const content = await TARGETS[options.to].write(exported, style);
  if (options.output === undefined) return void process.stdout.write(content);
  writeWhole(options.output, content);
  note(`Wrote ${options.output}.`);
}

function exportedOf(named: NamedLayer, db: string): Exported {
  const { layer } = named;
  const { functionalKey, formula, zooName, structuralKey } = factsOf(named);
  if (functionalKey === null)
    throw new UserError(
      'This layer is not finite or constant, so that there is nothing to export.',
    );
  const measured = readingIfThere(db, (store) => {
    const key = named.candidate?.protocolKey ?? store.runs.list().at(-1)?.protocolKey;
    if (key === undefined) return null;
    const scores = store.evaluations.ofFunction(key, functionalKey);
    return scores.length > 0
      ? { scores: summary(key, scores), protocol: store.runs.protocol(key) as Protocol }
      : null;
  });
  return {
    layer,
    formula,
    zooName,
    structuralKey,
    genome: named.genome,
    id: functionalKey,
    scores: measured?.scores ?? null,
    groups: measured?.protocol.groups ?? PAPER.groups,
    movingDecay: measured?.protocol.movingDecay ?? PAPER.movingDecay,
  };
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
