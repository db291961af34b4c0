import { wrap } from './caption.ts';
import type { Exported } from './exported.ts';
import { goldenLines, type NamedVector } from './golden.ts';

/** What the Python targets have in common. */

/** The docstring of a module: formula, id and scores of the layer. */
export function moduleDoc({ formula, id, zooName, scores }: Exported): string {
  const name = zooName ?? 'A layer that evolayer discovered';
  const lines = [`${name}.`, '', ...equation(formula), '', `id: ${id}`];
  if (scores) {
    const { mean, protocol, evaluations, perAnchor } = scores;
    const times = `${evaluations} evaluation${evaluations === 1 ? '' : 's'}`;
    lines.push(
      `validation accuracy: ${mean.toFixed(4)} (protocol ${protocol}, ${times})`,
      ...perAnchor.map(({ anchor, accuracy }) => `    ${anchor}: ${accuracy.toFixed(4)}`),
    );
  }
  return `"""${lines.map(inert).join('\n')}\n"""`;
}

/** Columns of a line of Python, as `ruff format` has it. */
const LINE = 88;

const LONGEST_FORMULA = 2000;

function equation(formula: string): string[] {
  if (formula.length > LONGEST_FORMULA)
    return [`(its formula has ${formula.length} characters and is left out)`];
  return wrap(`y = gamma * (${formula}) + beta`, 80).map((line) => `    ${line}`);
}

/** Text that cannot end a docstring or escape in it. */
const inert = (text: string): string =>
  text
    .replaceAll(/[^\x20-\x7e]/g, '?')
    .replaceAll('\\', '/')
    .replaceAll('"', "'");

/** `def` with its parameters, on one line where they fit. */
export function signature(name: string, parameters: readonly string[], result: string): string[] {
  const line = `def ${name}(${parameters.join(', ')}) -> ${result}:`;
  if (line.length <= LINE - 4) return [line];
  return [`def ${name}(`, ...parameters.map((p) => `    ${p},`), `) -> ${result}:`];
}

/** A call that is too long for one line that is `depth` characters in, in three. */
export function pythonBroken(line: string, depth: number): string[] {
  if (line.length <= LINE - depth) return [line];
  const open = line.indexOf('(') + 1;
  return [line.slice(0, open), `    ${line.slice(open, -1)}`, ')'];
}

/** A tuple of numbers. */
export const tuple = (values: readonly number[]): string => `(${values.join(', ')})`;

/** The vectors of the self-test as one text. */
export const goldenSource = (vectors: readonly NamedVector[]): string =>
  [
    '# What the reference computes: `name value value ...;`, images in the order of this module.',
    '_GOLDEN = """',
    ...goldenLines(vectors, LINE),
    '"""',
  ].join('\n');

/** Lines one level deeper. */
export const indent = (lines: readonly string[]): string[] =>
  lines.map((line) => (line === '' ? '' : `    ${line}`));

/** A number as a float literal: 1e-5, 0.9, 1.0. */
export const pythonFloat = (value: number): string => {
  const text = value !== 0 && Math.abs(value) < 1e-3 ? value.toExponential() : String(value);
  return /[.e]/.test(text) ? text : `${text}.0`;
};
