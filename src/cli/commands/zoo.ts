import type { Command } from 'commander';
import { isBatchIndependent } from '../../graph/genome.ts';
import { structuralKey } from '../../graph/keys.ts';
import { formatLayer } from '../../graph/text.ts';
import { ZOO } from '../../graph/zoo.ts';
import { jsonOption } from '../options.ts';
import { print, printJson, table } from '../output.ts';

export const zooCommand = (program: Command) =>
  program.command('zoo').addOption(jsonOption()).action(zoo);

function zoo({ json }: { json?: true }) {
  const rows = ZOO.map(({ name, doc, functionalKey, layer }) => ({
    ...{ name, formula: formatLayer(layer), doc },
    ...{ structuralKey: structuralKey(layer), functionalKey },
    batchIndependent: isBatchIndependent(layer),
  }));
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
