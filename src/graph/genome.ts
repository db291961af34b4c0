import { UserError } from '../errors.ts';
import { movingMoments } from './adjoint.ts';
import { type Extent, INDEX_SETS, type IndexSet, reduce, SCALAR, union } from './extent.ts';
import {
  type Graph,
  GraphBuilder,
  INPUT_EXTENTS,
  isInput,
  type LayerGraph,
  type Node,
  type Value,
} from './graph.ts';
import { elementwise, isElementwise, isMoment, OP_NAMES, type OpName } from './ops.ts';
import { simplify } from './simplify.ts';

/** Nodes 0 to 3 of every genome. */
export const INITIAL_NODES = ['x', 'zero', 'v0', 'v1'] as const;

/** Far above any search space; keeps untrusted genomes from exhausting memory. */
export const MAX_NODES = 1000;

export interface GenomeNode {
  readonly op: OpName;
  /** Numbers of earlier nodes, initial ones included. */
  readonly args: readonly number[];
  /** Present for moments, absent for every other op. */
  readonly index?: IndexSet;
}

/** What evolution works on. `nodes[k]` is node 4 + k; the last one is the output; dead nodes stay. */
export interface Genome {
  readonly nodes: readonly GenomeNode[];
}

/**
 * A genome out of untrusted JSON; throws a UserError that tells the place and what would be right there.
 * The first fault ends it, so that a genome of a million nodes costs no more than a good one.
 */
export function parseGenome(json: unknown): Genome {
  if (!isRecord(json) || !Object.hasOwn(json, 'nodes') || !Array.isArray(json.nodes))
    throw new UserError(`genome is ${show(json)}; it must be {"nodes": [{"op", "args"}, …]}.`);
  const { nodes } = json;
  if (nodes.length === 0 || nodes.length > MAX_NODES)
    throw fault('', `has ${nodes.length} entries`, `have 1 to ${MAX_NODES}`);
  return { nodes: Array.from(nodes, parseNode) };
}

/** Throws a UserError where `genome` is not well formed. */
export function verifyGenome(genome: Genome): void {
  parseGenome(genome);
}

function parseNode(json: unknown, k: number): GenomeNode {
  const at = `[${k}]`;
  if (!isRecord(json)) throw fault(at, `is ${show(json)}`, 'be {"op", "args"}');
  const own = (key: string) => (Object.hasOwn(json, key) ? json[key] : undefined);
  const stray = Object.keys(json).find((key) => !['op', 'args', 'index'].includes(key));
  if (stray !== undefined) throw fault(at, `has the key ${show(stray)}`, 'have op, args, index');
  const op = own('op');
  if (!isOpName(op)) throw fault(`${at}.op`, `is ${show(op)}`, `be one of ${OP_NAMES.join(', ')}`);
  const args = parseArgs(own('args'), op, k);
  const index = own('index');
  if (!isMoment(op)) {
    if (index === undefined) return { op, args };
    throw fault(`${at}.index`, `is ${show(index)}`, `be left out, for ${op} takes none`);
  }
  if (!isIndexSet(index))
    throw fault(`${at}.index`, `is ${show(index)}`, `be one of ${INDEX_SETS.join(', ')}`);
  return { op, args, index };
}

function parseArgs(json: unknown, op: OpName, k: number): number[] {
  const at = `[${k}].args`;
  const arity = arityOf(op);
  const wanted = `${arity} node${arity === 1 ? '' : 's'}, for ${op} takes so many`;
  if (!Array.isArray(json)) throw fault(at, `is ${show(json)}`, `be a list of ${wanted}`);
  if (json.length !== arity) throw fault(at, `has ${json.length}`, `have ${wanted}`);
  const id = INITIAL_NODES.length + k;
  return Array.from(json, (arg: unknown, i) => {
    if (typeof arg === 'number' && Number.isInteger(arg) && arg >= 0 && arg < id) return arg;
    const right = `be the number of an earlier node, 0 to ${id - 1}, for nodes[${k}] is node ${id}`;
    throw fault(`${at}[${i}]`, `is ${show(arg)}`, right);
  });
}

/** A fault at a place below `nodes`. */
const fault = (at: string, what: string, right: string) =>
  new UserError(`genome.nodes${at} ${what}; it must ${right}.`);
const isRecord = (json: unknown): json is Record<string, unknown> =>
  typeof json === 'object' && json !== null && !Array.isArray(json);
const isOpName = (op: unknown): op is OpName => OP_NAMES.some((name) => name === op);
const isIndexSet = (index: unknown): index is IndexSet => INDEX_SETS.some((name) => name === index);

/** How many arguments a primitive takes. */
export const arityOf = (op: OpName): 1 | 2 => (isMoment(op) ? 1 : elementwise[op].arity);

/** A value of unknown origin, short enough for one line. */
function show(value: unknown): string {
  if (value === undefined) return 'missing';
  if (typeof value === 'object' && value !== null)
    return Array.isArray(value) ? 'a list' : 'an object';
  const text = typeof value === 'string' ? JSON.stringify(value) : String(value);
  return text.length > 40 ? `${text.slice(0, 40)}…` : text;
}

/** What the genome computes, dead nodes left out and equal nodes shared, not simplified. */
export function liveGraph(genome: Genome): LayerGraph {
  const builder = new GraphBuilder();
  const values: Value[] = INITIAL_NODES.map((name) => builder.input(name));
  for (const { op, args, index } of genome.nodes) {
    const operands = args.map((id) => values[id] as Value);
    values.push(
      isMoment(op)
        ? builder.moment(op, index as IndexSet, operands[0] as Value)
        : builder.elementwise(op, ...operands),
    );
  }
  return builder.build({ out: values.at(-1) as Value });
}

/** The simplified live graph: what is evaluated, hashed, printed and exported. */
export const layerOf = (genome: Genome): LayerGraph => simplify(liveGraph(genome));

/**
 * A genome that computes `layer`. A genome ends with an op, so a layer that is an initial node
 * becomes max(a, a), which is a in value and gradient.
 */
export function genomeOf(layer: LayerGraph): Genome {
  const ids: number[] = [];
  const nodes: GenomeNode[] = [];
  for (const node of layer.nodes) {
    const initial = (INITIAL_NODES as readonly string[]).indexOf(node.op);
    ids.push(initial >= 0 ? initial : INITIAL_NODES.length + nodes.length);
    if (initial < 0) nodes.push(genomeNode(node, ids));
  }
  const out = ids[layer.outputs.out] as number;
  if (out < INITIAL_NODES.length) nodes.push({ op: 'max', args: [out, out] });
  return { nodes };
}

function genomeNode(node: Node, ids: readonly number[]): GenomeNode {
  const { op } = node;
  if (!isOpName(op)) throw new Error(`internal: ${op} cannot stand in a genome`);
  const args = node.args.map((id) => ids[id] as number);
  return 'index' in node ? { op, args, index: node.index } : { op, args };
}

/** True where the output of an image does not depend on the batch it is in, dead and redundant nodes aside. */
export const isBatchIndependent = (layer: LayerGraph): boolean =>
  movingMoments(simplify(layer)).length === 0;

/** Derives order, arity, extents and sharing again and throws an internal error where `graph` differs. */
export function verify(graph: Graph): void {
  const seen = new Set<string>();
  for (const [id, node] of graph.nodes.entries()) {
    const wrong = (what: string) => new Error(`internal: node ${id} (${node.op}) ${what}`);
    for (const arg of node.args)
      if (!Number.isInteger(arg) || arg < 0 || arg >= id) throw wrong(`has the arg ${arg}`);
    const arity = expectedArity(node);
    if (node.args.length !== arity) throw wrong(`has ${node.args.length} args, not ${arity}`);
    const args = node.args.map((arg) => (graph.nodes[arg] as Node).extent);
    const extent = expectedExtent(node, args);
    if (node.extent !== extent) throw wrong(`has extent "${node.extent}", not "${extent}"`);
    const key = JSON.stringify(node);
    if (seen.has(key)) throw wrong('stands twice in the graph');
    seen.add(key);
  }
  for (const [name, id] of Object.entries(graph.outputs))
    if (!Object.hasOwn(graph.nodes, id)) throw new Error(`internal: output ${name} is node ${id}`);
}

function expectedArity(node: Node): number {
  if (isMoment(node.op) || node.op === 'sumTo') return 1;
  return isElementwise(node.op) ? elementwise[node.op].arity : 0;
}

function expectedExtent(node: Node, args: readonly Extent[]): Extent {
  switch (node.op) {
    case 'mean':
    case 'rms':
    case 'std':
      return reduce(args[0] as Extent, node.index);
    case 'sumTo': {
      const covered = [...args, node.to].every((extent) => union(node.from, extent) === node.from);
      if (!covered) throw new Error(`internal: sumTo from "${node.from}" does not cover its ends`);
      return node.to;
    }
    case 'const':
    case 'perElement':
      return SCALAR;
    case 'moving':
      return node.extent;
    default:
      return isInput(node.op) ? INPUT_EXTENTS[node.op] : args.reduce(union);
  }
}
