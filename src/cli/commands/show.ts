import type { Command } from 'commander';
import { describeOutcome } from '../../eval/outcome.ts';
import { candidateId } from '../../search/ids.ts';
import { factsOf, findLayer, type LayerFacts, type NamedLayer } from '../layers.ts';
import { dbOption, jsonOption } from '../options.ts';
import { outColours, print, printJson } from '../output.ts';

export const showCommand = (program: Command) =>
  program
    .command('show')
    .argument('<layer>', 'id, zoo name or formula')
    .addOption(dbOption())
    .addOption(jsonOption())
    .action(show);

function show(text: string, { db, json }: { db: string; json?: true }) {
  const named = findLayer(text, db);
  const facts = factsOf(named);
  if (json) return printJson(facts);
  const lines = [...describeFacts(facts), ...describeCandidate(named)];
  const width = Math.max(...lines.map(([key]) => key.length));
  for (const [key, value] of lines) print(`${outColours.bold(key.padEnd(width))}  ${value}`);
}

type Line = readonly [key: string, value: string];

const describeFacts = (facts: LayerFacts): Line[] => [
  ['formula', facts.formula],
  ['in the zoo', facts.zooName ?? 'no'],
  ['series', facts.batchIndependent ? 'S (does not depend on the batch)' : 'B (batch-dependent)'],
  ['live nodes', String(facts.liveNodes)],
  ['functional key', facts.functionalKey ?? 'none: not finite, or constant'],
  ['structural key', facts.structuralKey],
];

function describeCandidate({ candidate }: NamedLayer): Line[] {
  if (!candidate) return [];
  const { stored, parent, protocolKey } = candidate;
  const { origin, outcome } = stored;
  const made = parent === null ? `${origin.kind} graph` : `mutation of ${parent}`;
  return [
    ['id', candidateId(candidate)],
    ['made as', made],
    ['outcome', `${outcome.outcome}: ${describeOutcome(outcome)}`],
    ['protocol', protocolKey],
  ];
}
