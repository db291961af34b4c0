import type { Command } from 'commander';
import { ZOO } from '../../graph/zoo.ts';
import { factsOf } from '../layers.ts';
import { jsonOption } from '../options.ts';
import { print, printJson, table } from '../output.ts';

export const zooCommand = (program: Command) =>
  program.command('zoo').description('List the known layers.').addOption(jsonOption()).action(zoo);

function zoo({ json }: { json?: true }) {
  const rows = ZOO.map(({ name, layer, doc }) => {
    const { genome, ...facts } = factsOf({ layer, genome: { nodes: [] } });
    const { formula, structuralKey, functionalKey, batchIndependent } = facts;
    return { name, formula, doc, structuralKey, functionalKey, batchIndependent };
  });
  if (json) return printJson(rows);
  print(
    table(rows, [
      { head: 'name', value: ({ name }) => name },
      { head: 'B/S', value: ({ batchIndependent }) => (batchIndependent ? 'S' : 'B') },
      { head: 'formula', value: ({ formula }) => formula, flexible: true },
      { head: 'what it is', value: ({ doc }) => doc },
    ]),
  );
}
