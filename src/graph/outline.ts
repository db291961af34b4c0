import { createHash } from 'node:crypto';
import type { Extent, IndexSet } from './extent.ts';
import { type Genome, INITIAL_NODES } from './genome.ts';
import { isInput, type LayerGraph, type Node } from './graph.ts';

/** A live node in words. */
export interface OutlineNode {
  readonly id: number;
  readonly op: string;
  readonly args: readonly number[];
  readonly index: IndexSet | null;
  /** The axes that the value varies over. */
  readonly extent: Extent;
  /** How many nodes take it, or the layer's end. */
  readonly uses: number;
}

const nameOfInput = (op: string): string => (op === 'zero' ? '0' : op);
const opOf = (node: { readonly op: string; readonly index?: IndexSet | undefined }): string =>
  node.index === undefined ? nameOfInput(node.op) : `${node.op}[${node.index}]`;
const indexOf = (node: Node): IndexSet | undefined => ('index' in node ? node.index : undefined);
const opText = (node: Node): string => opOf({ op: node.op, index: indexOf(node) });

function usesOf({ nodes, outputs }: LayerGraph): number[] {
  const uses = nodes.map(() => 0);
  for (const id of [...nodes.flatMap(({ args }) => [...args]), outputs.out]) uses[id]!++;
  return uses;
}

/** The live nodes in order, arguments first. */
export function outline(layer: LayerGraph): OutlineNode[] {
  const uses = usesOf(layer);
  return layer.nodes.map((node, id) => ({
    ...{ id, op: node.op, args: node.args, index: indexOf(node) ?? null },
    ...{ extent: node.extent, uses: uses[id]! },
  }));
}

/**
 * The layer as a tree, a line for each node, the output first. A node with several uses gets a mark such
 * as `#5` and is written out once; where it is used again, the mark stands for it.
 */
export function treeOf(layer: LayerGraph): string[] {
  const uses = usesOf(layer);
  const lines: string[] = [];
  const seen = new Set<number>();
  const walk = (id: number, first: string, rest: string): void => {
    const node = layer.nodes[id]!;
    const isShared = uses[id]! > 1 && node.args.length > 0;
    const mark = isShared ? ` #${id}` : '';
    if (isShared && seen.has(id)) return void lines.push(`${first}#${id} again`);
    seen.add(id);
    lines.push(`${first}${opText(node)}${mark}`);
    for (const [i, arg] of node.args.entries()) {
      const isLast = i === node.args.length - 1;
      walk(arg, `${rest}${isLast ? '└─ ' : '├─ '}`, `${rest}${isLast ? '   ' : '│  '}`);
    }
  };
  walk(layer.outputs.out, '', '');
  return lines;
}

/** What each live node computes, as a name that two graphs share where they compute it in the same way. */
function subexpressions({ nodes }: LayerGraph): string[] {
  const names: string[] = [];
  for (const node of nodes) {
    const args = node.args.map((id) => names[id]!);
    if (node.op === 'add' || node.op === 'mul' || node.op === 'max') args.sort();
    names.push(
      createHash('sha1')
        .update([opText(node), ...args].join(' '))
        .digest('hex'),
    );
  }
  return names;
}

export interface GraphDifference {
  /** Nodes, inputs left out, that both graphs have. */
  readonly shared: number;
  /** Numbers of the nodes that only the first one, or only the second one, has. */
  readonly onlyFirst: readonly number[];
  readonly onlySecond: readonly number[];
}

/** Which nodes two layers have in common: nodes that compute the same expression of the inputs. */
export function graphDifference(first: LayerGraph, second: LayerGraph): GraphDifference {
  const names = [subexpressions(first), subexpressions(second)] as const;
  const ops = (layer: LayerGraph) =>
    [...layer.nodes.keys()].filter((id) => !isInput(layer.nodes[id]!.op));
  const only = (layer: LayerGraph, mine: readonly string[], others: readonly string[]) => {
    const known = new Set(others);
    return ops(layer).filter((id) => !known.has(mine[id]!));
  };
  const onlyFirst = only(first, names[0], names[1]);
  const onlySecond = only(second, names[1], names[0]);
  return { shared: ops(first).length - onlyFirst.length, onlyFirst, onlySecond };
}

/** A node of a genome that a mutation changed. */
export interface GenomeChange {
  readonly node: number;
  readonly before: string;
  readonly after: string;
}

/** The nodes in which two genomes of one size differ; null where they are of different sizes. */
export function genomeChanges(before: Genome, after: Genome): GenomeChange[] | null {
  if (before.nodes.length !== after.nodes.length) return null;
  const changes: GenomeChange[] = [];
  for (const k of after.nodes.keys()) {
    const change = { before: genomeNodeText(before, k), after: genomeNodeText(after, k) };
    if (change.before !== change.after) changes.push({ node: INITIAL_NODES.length + k, ...change });
  }
  return changes;
}

/** A node of a genome such as `mul(x, #5)`. */
function genomeNodeText({ nodes }: Genome, k: number): string {
  const { op, args, index } = nodes[k]!;
  const names = args.map((id) =>
    id < INITIAL_NODES.length ? nameOfInput(INITIAL_NODES[id]!) : `#${id}`,
  );
  return `${opOf({ op, index })}(${names.join(', ')})`;
}
