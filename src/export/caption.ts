import type { Exported } from './exported.ts';

const LONGEST_FORMULA = 2000;

/**
 * What a picture or a formula says of its layer in a comment: formula, id, protocol and scores, a line
 * each, of printable ASCII. The comment's own end is the target's to keep out.
 */
export function captionOf({ formula, id, zooName, scores }: Exported): string[] {
  const lines = [
    `${zooName ?? 'A layer that evolayer discovered'}.`,
    isLong(formula) ? omission(formula) : `y = gamma * (${formula}) + beta`,
    `id: ${id}`,
  ];
  if (scores) {
    const { mean, protocol, evaluations, perAnchor } = scores;
    const times = `${evaluations} evaluation${evaluations === 1 ? '' : 's'}`;
    lines.push(
      `validation accuracy: ${mean.toFixed(4)} (protocol ${protocol}, ${times})`,
      ...perAnchor.map(({ anchor, accuracy }) => `    ${anchor}: ${accuracy.toFixed(4)}`),
    );
  }
  return lines.map(printable);
}

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
