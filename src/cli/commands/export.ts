import { existsSync } from 'node:fs';
import { join } from 'node:path';
import type { Command } from 'commander';
import { UserError } from '../../errors.ts';
import { checkClassName, defaultClassName } from '../../export/class-name.ts';
import { type CodeStyle, type Exported, LAYOUTS } from '../../export/exported.ts';
import { type Content, TARGETS, type Target, type TargetName } from '../../export/targets.ts';
import { contentOf, fileNameOf, type Style, TARGET_NAMES } from '../../export/write.ts';
import { exportedOf, type Measured } from '../../reading/exported.ts';
import { reading } from '../../reading/open.ts';
import { makeFolder, writeWhole } from '../files.ts';
import { findLayer, type GivenLayer } from '../layers.ts';
import { choiceOption, dbOption } from '../options.ts';
import { note, print } from '../output.ts';

const DETAILS = `
--check runs what was written where its runtime is installed: Python is $EVOLAYER_PYTHON, else that of
.venv-exports or .venv, else python3. docs/exports.md tells what each target takes and gives.`;

export const exportCommand = (program: Command) =>
  program
    .command('export')
    .argument('<layer>', 'id, zoo name, formula or file')
    .addOption(choiceOption('--to <target>', 'what to write', TARGET_NAMES))
    .option('-o, --output <file>', 'the file')
    .option('--all-formats <folder>', 'write every target into a folder')
    .option('--check', 'let what was written test itself')
    .option('--name <class>', 'name of the class')
    .addOption(
      choiceOption(
        '--layout <axes>',
        "order of the axes (default: as the framework's own layers)",
        LAYOUTS,
      ),
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
  /** That of the target's framework where it is not said. */
  readonly layout?: CodeStyle['layout'];
}

export async function exportLayer(text: string, options: ExportOptions) {
  const { to, output, allFormats, check } = options;
  refuseUsage(options);
  const exported = exportedFrom(options.db, findLayer(text, options.db));
  const className = checkClassName(options.name ?? defaultClassName(exported));
  const style = { className, ...(options.layout && { layout: options.layout }) };
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

interface Written {
  readonly name: TargetName;
  readonly file: string;
  readonly content: Content;
}

/** Every target's file; a target that cannot write this layer is left out, and says why. */
async function allContents(exported: Exported, style: Style, folder: string) {
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

/** From the database where there is one, unless the layer's file says it all. */
function exportedFrom(db: string, given: GivenLayer): Exported {
  const told = (functionalKey: string) => toldByFile(given, functionalKey);
  if (given.file || !existsSync(db)) return exportedOf(null, given, told);
  return reading(db, (store) => exportedOf(store, given, told));
}

/** What a file says that is about the layer in it, so that the layer comes out as it went in. */
function toldByFile({ file }: GivenLayer, functionalKey: string): Measured | null {
  if (!file) return null;
  const { groups, movingDecay, id, found, scores } = file;
  const isOfLayer = id === functionalKey;
  return {
    groups,
    movingDecay,
    found: isOfLayer ? found : null,
    scores: isOfLayer ? scores : null,
  };
}
