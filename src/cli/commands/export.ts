import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { type Command, Option } from 'commander';
import { UserError } from '../../errors.ts';
import type { Protocol } from '../../eval/protocol.ts';
import { checkClassName, defaultClassName } from '../../export/class-name.ts';
import { type CodeStyle, type Exported, LAYOUTS, type Scores } from '../../export/exported.ts';
import { refuseGaps } from '../../export/support.ts';
import { type Content, TARGETS, type Target, type TargetName } from '../../export/targets.ts';
import { explainedFile, writeWhole } from '../files.ts';
import { factsOf, findLayer, type NamedLayer } from '../layers.ts';
import { dbOption } from '../options.ts';
import { note, print } from '../output.ts';
import { readingIfThere } from '../reading.ts';

const TARGET_NAMES = Object.keys(TARGETS) as TargetName[];

const DETAILS = `
--check runs what was written where its runtime is installed: Python is $EVOLAYER_PYTHON, else that of
.venv-exports or .venv, else python3. docs/exports.md tells what each target takes and gives.`;

export const exportCommand = (program: Command) =>
  program
    .command('export')
    .argument('<layer>', 'id, zoo name, formula or file')
    .addOption(new Option('--to <target>', 'what to write').choices(TARGET_NAMES))
    .option('-o, --output <file>', 'the file')
    .option('--all-formats <folder>', 'write every target into a folder')
    .option('--check', 'let what was written test itself')
    .option('--name <class>', 'name of the class')
    .addOption(
      new Option('--layout <axes>', 'order of the axes').choices(LAYOUTS).default(LAYOUTS[0]),
    )
    .addOption(dbOption())
    .addHelpText('after', DETAILS)
    .action(exportLayer);

export interface ExportOptions {
  readonly db: string;
  readonly to?: TargetName;
  readonly output?: string;
  readonly allFormats?: string;
  readonly check?: true;
  readonly name?: string;
  readonly layout: CodeStyle['layout'];
}

export async function exportLayer(text: string, options: ExportOptions) {
  const { to, output, allFormats, check } = options;
  refuseUsage(options);
  const exported = exportedOf(findLayer(text, options.db), options.db);
  const className = checkClassName(options.name ?? defaultClassName(exported));
  const style = { className, layout: options.layout };
  if (to && output === undefined)
    return void process.stdout.write(await contentOf(to, exported, style));
  const written =
    allFormats === undefined
      ? [{ name: to!, file: output!, content: await contentOf(to!, exported, style) }]
      : await allContents(exported, style, allFormats);
  if (allFormats !== undefined) makeFolder(allFormats);
  for (const { file, content } of written) {
    writeWhole(file, content);
    note(`Wrote ${file}.`);
  }
  if (check) await checkAll(written);
}

function refuseUsage({ to, output, allFormats, check }: ExportOptions): void {
  if ((to === undefined) === (allFormats === undefined))
    throw new UserError(
      `Say what to write: --to TARGET (${TARGET_NAMES.join(', ')}), or --all-formats FOLDER.`,
    );
  if (allFormats !== undefined && output !== undefined)
    throw new UserError('--output names the file of --to; --all-formats has its own names.');
  if (check && to && output === undefined)
    throw new UserError('--check runs a file; name it with --output.');
}

/** What the target writes; a UserError where it leaves out an op of the layer. */
function contentOf(name: TargetName, exported: Exported, style: CodeStyle) {
  const target: Target = TARGETS[name];
  refuseGaps(name, target.ops, exported.layer);
  return target.write(exported, style);
}

interface Written {
  readonly name: TargetName;
  readonly file: string;
  readonly content: Content;
}

/** Every target's file; a target that cannot write this layer is left out, and says why. */
async function allContents(exported: Exported, style: CodeStyle, folder: string) {
  const contents: Written[] = [];
  for (const name of TARGET_NAMES) {
    try {
      const file = join(folder, fileNameOf(name, style.className));
      contents.push({ name, file, content: await contentOf(name, exported, style) });
    } catch (error) {
      if (!(error instanceof UserError)) throw error;
      note(`Left out ${name}: ${error.message}`);
    }
  }
  return contents;
}

/** Of targets with the same extension, each has its name in that of its file. */
export function fileNameOf(name: TargetName, className: string): string {
  const { extension } = TARGETS[name];
  const alone = TARGET_NAMES.every((n) => n === name || TARGETS[n].extension !== extension);
  return `${className}${alone ? '' : `_${name}`}${extension}`;
}

function makeFolder(folder: string): void {
  try {
    mkdirSync(folder, { recursive: true });
  } catch (error) {
    throw explainedFile(error, `${folder} cannot be made`);
  }
}

/** Says of each file that can test itself how that ended; the exit code is 1 where one failed. */
async function checkAll(written: readonly Written[]): Promise<void> {
  const { runSelfTest } = await import('../self-tests.ts');
  for (const { name, file } of written) {
    const { check = [] }: Target = TARGETS[name];
    for (const test of check) {
      const result = await runSelfTest(file, test);
      const detail = result.verdict === 'left out' ? `, for ${result.missing}` : '';
      print(`${name}${test.on ? ` on ${test.on}` : ''}: ${result.verdict}${detail}`);
      if (result.verdict !== 'failed') continue;
      note(result.output.trimEnd());
      process.exitCode = 1;
    }
  }
}

function exportedOf(named: NamedLayer, db: string): Exported {
  const { layer } = named;
  const { functionalKey, formula, zooName, structuralKey } = factsOf(named);
  if (functionalKey === null)
    throw new UserError(
      'This layer is not finite or constant, so that there is nothing to export.',
    );
  const told = toldByFile(named, functionalKey);
  const measured = told ? null : measuredIn(db, named, functionalKey);
  return {
    layer,
    formula,
    zooName,
    structuralKey,
    genome: named.genome,
    id: functionalKey,
    ...(told ?? measured ?? { scores: null, ...PAPER }),
  };
}

type Measured = Pick<Exported, 'scores' | 'groups' | 'movingDecay'>;

/** What a file says that is about the layer in it, so that the layer comes out as it went in. */
function toldByFile({ file }: NamedLayer, functionalKey: string): Measured | null {
  if (!file) return null;
  const { groups, movingDecay, id } = file;
  return { groups, movingDecay, scores: id === functionalKey ? file.scores : null };
}

/** What the database says, under the protocol of the layer's own run or of the last one. */
const measuredIn = (db: string, named: NamedLayer, functionalKey: string): Measured | null =>
  readingIfThere(db, (store) => {
    const key = named.candidate?.protocolKey ?? store.runs.list().at(-1)?.protocolKey;
    if (key === undefined) return null;
    const scores = store.evaluations.ofFunction(key, functionalKey);
    if (scores.length === 0) return null;
    const { groups, movingDecay } = store.runs.protocol(key) as Protocol;
    return { scores: summary(key, scores), groups, movingDecay };
  });

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
