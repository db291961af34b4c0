import { hasBatch } from '../../graph/extent.ts';
import { argsOf, isSpatial, type MachineGraph } from './lower.ts';

/** One pass over the tiles of an image. */
export interface Pass {
  /** Nodes of batch extent without space, computed for the current image before its tiles. */
  readonly prelude: readonly number[];
  /** Reductions to be accumulated, and nodes to be stored, in this pass. */
  readonly reductions: readonly number[];
  readonly stores: readonly string[];
  /** Spatial nodes that this pass computes anyway and puts into memory for later ones. */
  readonly keeps: readonly number[];
  /** Ends of those reductions that hold for one image. */
  readonly epilogue: readonly number[];
}

/**
 * A phase computes what does not depend on the image, then sweeps over all images. Whatever needs a sum over
 * the whole batch has to wait for the next phase; whatever needs a sum over an image, for its next pass.
 */
export interface Phase {
  readonly small: readonly number[];
  readonly passes: readonly Pass[];
}

interface Level {
  readonly phase: number;
  readonly pass: number;
}

const later = (a: Level, b: Level): Level =>
  a.phase > b.phase || (a.phase === b.phase && a.pass > b.pass) ? a : b;

/**
 * Orders the computation of `stores` (spatial or not, by name) and of `goals` (slots), given that the nodes
 * of `known` are in their slots already. Every node is placed at the earliest level that its arguments allow.
 */
export function schedule(
  graph: MachineGraph<string>,
  stores: Readonly<Record<string, number>>,
  goals: readonly number[],
  known: ReadonlySet<number>,
): Phase[] {
  const needed = neededNodes(graph, [...Object.values(stores), ...goals], known);
  const levels = levelsOf(graph, needed, known);
  const phases: MutablePhase[] = [];
  const passAt = ({ phase, pass }: Level): MutablePass => {
    while (phases.length <= phase) phases.push({ small: [], passes: [] });
    const { passes } = phases[phase]!;
    while (passes.length <= pass)
      passes.push({ prelude: [], reductions: [], stores: [], keeps: [], epilogue: [] });
    return passes[pass]!;
  };
  for (const id of needed) place(graph, id, levels, passAt, phases);
  for (const [name, id] of Object.entries(stores))
    passAt(levels.get(id) ?? START).stores.push(name);
  return phases;
}

const START: Level = { phase: 0, pass: 0 };

type Mutable<T> = { -readonly [K in keyof T]: T[K] extends readonly (infer E)[] ? E[] : T[K] };
type MutablePass = Mutable<Pass>;
interface MutablePhase {
  small: number[];
  passes: MutablePass[];
}

/** Puts one node where it is computed. Spatial maps are computed wherever a pass needs them, so they have no place. */
function place(
  graph: MachineGraph<string>,
  id: number,
  levels: ReadonlyMap<number, Level>,
  passAt: (level: Level) => MutablePass,
  phases: readonly MutablePhase[],
): void {
  const node = graph.nodes[id]!;
  const level = levels.get(id)!;
  if (node.kind === 'reduce') {
    const argument = graph.nodes[node.args[0]]!;
    if (isSpatial(argument)) passAt(level).reductions.push(id);
    else if (hasBatch(argument.extent)) passAt(level).prelude.push(id);
    else small(level);
  } else if (node.kind === 'moment' || node.kind === 'fold') {
    const reduction = graph.nodes[node.args[0]]!;
    const spatial = isSpatial(graph.nodes[argsOf(reduction)[0]!]!);
    if (!hasBatch(reduction.extent)) small(level);
    else if (spatial) passAt(levels.get(node.args[0])!).epilogue.push(id);
    else passAt(level).prelude.push(id);
  } else if (!isSpatial(node)) {
    if (hasBatch(node.extent)) passAt(level).prelude.push(id);
    else small(level);
  }

  function small({ phase }: Level) {
    passAt({ phase, pass: 0 });
    phases[phase]!.small.push(id);
  }
}

/** Nodes to compute, in topological order. */
function neededNodes(
  graph: MachineGraph<string>,
  roots: readonly number[],
  known: ReadonlySet<number>,
): number[] {
  // Arguments come before what reads them, so that one look from the end reaches everything.
  const wanted = new Uint8Array(graph.nodes.length);
  for (const id of roots) wanted[id] = 1;
  for (let id = wanted.length - 1; id >= 0; id--) {
    if (!wanted[id]) continue;
    if (known.has(id)) wanted[id] = 0;
    else for (const a of argsOf(graph.nodes[id]!)) wanted[a] = 1;
  }
  return Array.from(wanted.keys()).filter((id) => wanted[id]);
}

/** The level at which a node's value is there (of a reduction: at which it is accumulated). */
function levelsOf(
  graph: MachineGraph<string>,
  needed: readonly number[],
  known: ReadonlySet<number>,
): Map<number, Level> {
  const levels = new Map<number, Level>();
  for (const id of needed) {
    const node = graph.nodes[id]!;
    let level = START;
    for (const a of argsOf(node)) if (!known.has(a)) level = later(level, levels.get(a)!);
    levels.set(
      id,
      node.kind === 'moment' || node.kind === 'fold' ? after(graph, id, level) : level,
    );
  }
  return levels;
}

/** When the end of a reduction can be read, given when it is accumulated. */
function after(graph: MachineGraph<string>, end: number, { phase, pass }: Level): Level {
  const reduction = graph.nodes[argsOf(graph.nodes[end]!)[0]!]!;
  const argument = graph.nodes[argsOf(reduction)[0]!]!;
  if (hasBatch(argument.extent) && !hasBatch(reduction.extent))
    return { phase: phase + 1, pass: 0 };
  return isSpatial(argument) ? { phase, pass: pass + 1 } : { phase, pass };
}
