import type { LayerShape } from '../../graph/extent.ts';
import { argsOf, isSpatial, type MachineGraph } from './lower.ts';
import type { Pass, Phase } from './schedule.ts';

/**
 * What is computed in one go: the passes of one sweep where an image fits a tile (for registers live on from
 * pass to pass), else a single pass.
 */
type Unit = readonly Pass[];

/**
 * Cycles for one vector of an op on the core it was measured on (Zen 4, 16 lanes); the others are `LIGHT`.
 */
const CYCLES: Readonly<Record<string, number>> = {
  sigmoid: 22,
  tanh: 22,
  exp: 15,
  log: 22,
  div: 11,
  sqrt: 18,
  reciprocal: 11,
  rootEps: 11,
};
const LIGHT = 3;

/** Cycles to write a vector and read it back: while the layer's tensors stay in cache, and where they do not. */
const TRAFFIC = { cached: 12, streamed: 40 };
/** Floats of the largest tensor of which a handful stays in cache. */
const CACHED_FLOATS = 1 << 19;

/** Whether tensors are too large to stay in cache. */
export const isStreamed = ({ batch, height, width, channels }: LayerShape): boolean =>
  batch * height * width * channels > CACHED_FLOATS;

/**
 * Decides which spatial values later programs load instead of computing them again, and says so in `keeps` of the
 * passes that compute them first. `programs` run one after another.
 *
 * Every unit's goals are followed back to the first values that an earlier unit has computed. Such a value is kept
 * where loading it is cheaper than what computing it would take, otherwise the search goes on behind it.
 */
export function keepValues(
  graph: MachineGraph<string>,
  stores: Readonly<Record<string, number>>,
  programs: readonly (readonly Phase[])[],
  shape: LayerShape,
  wholeImages: boolean,
): { programs: Phase[][]; kept: Kept[] } {
  const traffic = TRAFFIC[isStreamed(shape) ? 'streamed' : 'cached'];
  const phases = programs.flat();
  const owner = new Map<number, number>();
  const loads = new Map<number, number>();
  const computedBy: Set<number>[] = [];
  const units = unitsOf(phases, wholeImages);
  for (const [at, unit] of units.entries()) {
    const computed = new Set<number>();
    const visit = (id: number): void => {
      if (computed.has(id) || graph.nodes[id]!.kind !== 'map' || !isSpatial(graph.nodes[id]!))
        return;
      const first = computedBy.findIndex((earlier) => earlier.has(id));
      if (owner.has(id) || (first >= 0 && coneCycles(graph, id, owner) > traffic)) {
        if (!owner.has(id)) owner.set(id, first);
        loads.set(id, at);
        return;
      }
      computed.add(id);
      for (const a of argsOf(graph.nodes[id]!)) visit(a);
    };
    for (const id of goalsOf(graph, stores, unit)) visit(id);
    computedBy.push(computed);
  }
  return assign(programs, units, owner, loads);
}

/** A value that is kept, and whether it must outlive the program that computes it. */
export interface Kept {
  readonly node: number;
  readonly lasting: boolean;
}

function unitsOf(phases: readonly Phase[], wholeImages: boolean): Unit[] {
  if (wholeImages) return phases.map(({ passes }) => passes);
  return phases.flatMap(({ passes }) => passes.map((pass) => [pass]));
}

/** The nodes whose values over the tile a unit is there for. */
const goalsOf = (
  graph: MachineGraph<string>,
  stores: Readonly<Record<string, number>>,
  unit: Unit,
): number[] =>
  unit.flatMap((pass) => [
    ...pass.reductions.map((id) => argsOf(graph.nodes[id]!)[0]!),
    ...pass.stores.map((name) => stores[name]!),
  ]);

/** What computing a value from inputs and kept values takes. */
function coneCycles(
  graph: MachineGraph<string>,
  root: number,
  kept: ReadonlyMap<number, unknown>,
): number {
  const seen = new Set<number>();
  const cycles = (id: number): number => {
    const node = graph.nodes[id]!;
    if (seen.has(id) || kept.has(id) || node.kind !== 'map' || !isSpatial(node)) return 0;
    seen.add(id);
    return node.args.reduce((sum, a) => sum + cycles(a), CYCLES[node.code] ?? LIGHT);
  };
  return cycles(root);
}

/** Enters the kept values into the passes. */
function assign(
  programs: readonly (readonly Phase[])[],
  units: readonly Unit[],
  owner: ReadonlyMap<number, number>,
  loads: ReadonlyMap<number, number>,
): { programs: Phase[][]; kept: Kept[] } {
  const programOf = new Map<Pass, number>();
  for (const [i, program] of programs.entries())
    for (const phase of program) for (const pass of phase.passes) programOf.set(pass, i);
  const at = (unit: number) => programOf.get(units[unit]![0]!)!;
  const kept = [...owner].map(([node, unit]) => ({
    node,
    lasting: at(unit) !== at(loads.get(node)!),
  }));
  // What it reads may come from any pass of the unit.
  const lastPasses = new Map(units.map((unit, i) => [unit.at(-1), i]));
  const withKeeps = (pass: Pass): Pass => {
    const unit = lastPasses.get(pass);
    const keeps = [...owner].flatMap(([node, first]) => (first === unit ? [node] : []));
    return { ...pass, keeps };
  };
  return {
    programs: programs.map((program) =>
      program.map((phase) => ({ ...phase, passes: phase.passes.map(withKeeps) })),
    ),
    kept,
  };
}
