import type { Command } from 'commander';
import { percent, printable } from '../../format.ts';
import { factsOf } from '../../reading/layers.ts';
import { readLayerFile } from '../layer-file.ts';
import { fromFile } from '../layers.ts';
import { jsonOption } from '../options.ts';
import { note, print, printJson, quoted } from '../output.ts';

const DETAILS = `
FILE is what \`evolayer export --to json\` wrote. Nothing is stored: every command takes such a file as a
LAYER, such as \`evolayer evaluate ./layer.json\`.`;

export const importCommand = (program: Command) =>
  program
    .command('import')
    .argument('<file>', 'what export --to json wrote')
    .addOption(jsonOption())
    .addHelpText('after', DETAILS)
    .action(importLayer);

function importLayer(path: string, { json }: { json?: true }) {
  const found = contentOf(path);
  if (json) return printJson(found);
  const { formula, zooName, functionalKey, structuralKey, groups, movingDecay, scores } = found;
  const lines: readonly (readonly [string, string])[] = [
    ['formula', formula],
    ['in the zoo', zooName ?? 'no'],
    ['functional key', functionalKey ?? 'none: not finite, or constant'],
    ['structural key', structuralKey],
    ['defaults', `${groups} groups, moving statistics keep ${movingDecay}`],
    ...(scores
      ? ([
          ['scores', `${percent(scores.mean)} under protocol ${scores.protocol}, as the file says`],
        ] as const)
      : []),
  ];
  for (const [key, value] of lines) print(`${key.padEnd(14)}  ${value}`);
  if (!found.faithful)
    note('The file was changed: what it says of id and scores is of another layer.');
  const name = quoted(/[\\/]/.test(path) ? path : `./${path}`);
  note(`A LAYER of every command: evolayer evaluate ${name}`);
}

/** What the file holds: what it says, and what its genome computes. */
function contentOf(path: string) {
  const file = readLayerFile(path);
  const facts = factsOf(fromFile(file));
  const { groups, movingDecay } = file;
  const faithful = file.id === facts.functionalKey;
  const scores = faithful ? file.scores : null;
  return { ...facts, groups, movingDecay, scores: scores && shown(scores), faithful };
}

/** Text of unknown origin, for a terminal. */
const shown = ({
  protocol,
  perAnchor,
  ...rest
}: NonNullable<ReturnType<typeof readLayerFile>['scores']>) => ({
  ...rest,
  protocol: printable(protocol),
  perAnchor: perAnchor.map(({ anchor, accuracy }) => ({ anchor: printable(anchor), accuracy })),
});
