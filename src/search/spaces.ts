import * as z from 'zod';
import { isRecord, oneOf, settings } from '../eval/settings.ts';
import { INDEX_SETS, type IndexSet } from '../graph/extent.ts';
import type { Genome, GenomeNode } from '../graph/genome.ts';
import { ELEMENTWISE_NAMES, isMoment, OP_NAMES, type OpName } from '../graph/ops.ts';

/** The initial nodes as formulas have them, in the order of INITIAL_NODES. */
export const INITIAL_NAMES = ['x', '0', 'v0', 'v1'] as const;
export type InitialName = (typeof INITIAL_NAMES)[number];

/** What the layers of a search may be made of. Genomes are numbered the same in all spaces. */
export interface Space {
  readonly ops: readonly OpName[];
  /** Those that moments range over. */
  readonly indexSets: readonly IndexSet[];
  /** Those that the ops may take. */
  readonly initialNodes: readonly InitialName[];
}

/** The space of EvoNorm (Liu et al. 2020, section 3.1). */
export const PAPER: Space = { ops: OP_NAMES, indexSets: INDEX_SETS, initialNodes: INITIAL_NAMES };

/** Spaces that have names; a configuration that names one holds what it stands for. */
export const SPACES: Readonly<Record<string, Space>> = {
  paper: PAPER,
  /** No normalization: of any element the output depends on that element and its channel's parameters alone. */
  activations: { ...PAPER, ops: ELEMENTWISE_NAMES, indexSets: [] },
};

/** Some of `all`, in the order of `all`, so that the same space is always written in the same way. */
const someOf = <const Names extends readonly [string, ...string[]]>(all: Names) =>
  z
    .array(oneOf(all), `a list of ${all.join(', ')}`)
    .transform((names) => all.filter((name): name is Names[number] => names.includes(name)));

const OPS = OP_NAMES as readonly [OpName, ...OpName[]];
const NAMES = Object.keys(SPACES) as [string, ...string[]];

const copy = ({ ops, indexSets, initialNodes }: Space) => ({
  ...{ ops: [...ops], indexSets: [...indexSets], initialNodes: [...initialNodes] },
});

export const spaceShape = settings({
  /** The space to begin with; `spelledOut` puts its settings in the place of the name. */
  name: oneOf(NAMES).optional(),
  ops: someOf(OPS).refine(
    (ops) => ops.length > 0,
    `a list of at least one of ${OP_NAMES.join(', ')}`,
  ),
  indexSets: someOf(INDEX_SETS),
  initialNodes: someOf(INITIAL_NAMES).refine(
    (nodes) => nodes.includes('x'),
    `a list of ${INITIAL_NAMES.join(', ')} that has x, for without it no layer depends on its input`,
  ),
})
  .superRefine(({ ops, indexSets }, context) => {
    const moment = ops.find(isMoment);
    if (moment !== undefined && indexSets.length === 0)
      context.addIssue({
        code: 'custom',
        path: ['indexSets'],
        message: `a list of at least one of ${INDEX_SETS.join(', ')}, for ops has ${moment}`,
      });
  })
  // Runs of versions that knew no other space have none in their configuration.
  .default(() => copy(PAPER));

/** Settings of a search with the settings of a named space in the place of its name, where they name one. */
export function spelledOut(given: unknown): unknown {
  if (!isRecord(given) || !isRecord(given.space)) return given;
  const { name, ...own } = given.space;
  // What is no name stays, for the validation to tell.
  if (typeof name !== 'string' || !Object.hasOwn(SPACES, name)) return given;
  return { ...given, space: { ...copy(SPACES[name]!), ...own } };
}

/** The first thing in a genome that the space does not have, dead nodes included; null where there is none. */
export function strangerIn({ nodes }: Genome, space: Space): string | null {
  for (const node of nodes) {
    const stranger = strangerAt(node, space);
    if (stranger !== null) return stranger;
  }
  return null;
}

function strangerAt({ op, index, args }: GenomeNode, space: Space): string | null {
  if (!space.ops.includes(op)) return op;
  if (index !== undefined && !space.indexSets.includes(index)) return `${op}[${index}]`;
  const initial = args
    .flatMap((arg) => INITIAL_NAMES[arg] ?? [])
    .find((name) => !space.initialNodes.includes(name));
  return initial ?? null;
}
