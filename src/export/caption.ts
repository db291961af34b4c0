import type { Exported } from './exported.ts';

const LONGEST_FORMULA = 2000;

/**
 * What a file says of its layer in a comment: formula, id, where it was found, protocol and scores, a line
 * each, of printable ASCII. The comment's own end is the target's to keep out.
 */
export const captionOf = (exported: Exported): string[] =>
  [
    titleOf(exported),
    isLong(exported.formula) ? omission(exported.formula) : equationOf(exported.formula),
    ...originOf(exported),
  ].map(printable);

export const titleOf = ({ zooName, found }: Exported): string =>
  `${zooName ?? (found === null ? 'A layer' : 'A layer that evolayer discovered')}.`;

export const equationOf = (formula: string): string => `y = gamma * (${formula}) + beta`;

/** Id, where it was found, protocol and scores, a line each. */
export function originOf({ id, found, scores }: Exported): string[] {
  const lines = [`id: ${id}`];
  if (found !== null) lines.push(`found: ${whereOf(found)}`);
  if (!scores) return lines;
  const { mean, protocol, evaluations, perAnchor } = scores;
  const times = `${evaluations} evaluation${evaluations === 1 ? '' : 's'}`;
  return [
    ...lines,
    `validation accuracy: ${mean.toFixed(4)} (protocol ${protocol}, ${times})`,
    ...perAnchor.map(({ anchor, accuracy }) => `    ${anchor}: ${accuracy.toFixed(4)}`),
  ];
}

const whereOf = (found: string): string => {
  const [, run, proposal] = /^r(\d+)-(\d+)$/.exec(found) ?? [];
  return proposal === undefined ? found : `run ${run}, proposal ${proposal} (${found})`;
};

/** Breaks text at spaces into lines of at most `width` characters, where words allow. */
export function wrap(text: string, width: number): string[] {
  const lines: string[] = [];
  for (const word of text.split(' ')) {
    const last = lines.at(-1);
    if (last !== undefined && last.length + 1 + word.length <= width)
      lines[lines.length - 1] = `${last} ${word}`;
    else lines.push(word);
  }
  return lines;
}

export const isLong = (formula: string): boolean => formula.length > LONGEST_FORMULA;

/** What stands for a formula that is too long to read. */
export const omission = (formula: string): string =>
  `(its formula has ${formula.length} characters and is left out)`;

/** Text of unknown origin as printable ASCII on one line. */
export const printable = (text: string): string => text.replaceAll(/[^\x20-\x7e]/g, '?');
