import type { Graph } from '../../graph/graph.ts';
import { isClear, lower, type Scope } from './lower.ts';
import type { Tensor } from './tensors.ts';

/** The order in which values of a graph can be freed: for every node those that nothing reads after it. */
export type Lifetimes = readonly (readonly number[])[];

/** `kept`: nodes that are read from outside. Leaves belong to whom they come from. */
export function lifetimes({ nodes }: Graph, kept: ReadonlySet<number>): Lifetimes {
  const freed: number[][] = nodes.map(() => []);
  const seen = new Set(kept);
  for (let id = nodes.length - 1; id >= 0; id--)
    for (const arg of nodes[id]!.args)
      if (!seen.has(arg)) {
        seen.add(arg);
        if (nodes[arg]!.args.length > 0) freed[id]!.push(arg);
      }
  return freed;
}

/** One run of a graph, which may pause between nodes. */
export class GraphRun {
  readonly #graph: Graph;
  readonly #lifetimes: Lifetimes;
  readonly #values: Tensor[] = [];

  constructor(graph: Graph, lifetimes: Lifetimes) {
    this.#graph = graph;
    this.#lifetimes = lifetimes;
  }

  /** Computes the nodes before `end` that are not computed yet, and frees what nothing reads any more. */
  to(end: number, scope: Scope): void {
    const { nodes } = this.#graph;
    for (let id = this.#values.length; id < end; id++) {
      const node = nodes[id]!;
      const args = node.args.map((arg) => ({
        tensor: this.#values[arg]!,
        extent: nodes[arg]!.extent,
        clear: isClear(nodes[arg]!),
      }));
      this.#values.push(scope.tf.tidy(() => lower(scope, args, node)));
      for (const dead of this.#lifetimes[id]!) this.#values[dead]!.dispose();
    }
  }

  value(id: number): Tensor {
    return this.#values[id]!;
  }
}
