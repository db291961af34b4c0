import { equationOf, isLong, omission, originOf, printable, titleOf, wrap } from './caption.ts';
import type { Exported } from './exported.ts';
import { goldenLines, type NamedVector } from './golden.ts';

/** What the Python targets have in common. */

/** The docstring of a module: formula, id and scores of the layer. */
export function moduleDoc(exported: Exported): string {
  const equation = equationLines(exported.formula);
  const lines = [titleOf(exported), '', ...equation, '', ...originOf(exported)];
  return `"""${lines.map(inert).join('\n')}\n"""`;
}

/** Columns of a line of Python, as `ruff format` has it. */
const LINE = 88;

const equationLines = (formula: string): string[] =>
  isLong(formula)
    ? [omission(formula)]
    : wrap(equationOf(formula), 80).map((line) => `    ${line}`);

/** Text that cannot end a docstring or escape in it. */
const inert = (text: string): string => printable(text).replaceAll('\\', '/').replaceAll('"', "'");

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
