import type { Genome } from '../graph/genome.ts';
import type { LayerGraph } from '../graph/graph.ts';

/** What was measured of a layer under one protocol. */
export interface Scores {
  readonly protocol: string;
  readonly mean: number;
  readonly perAnchor: readonly { readonly anchor: string; readonly accuracy: number }[];
  readonly evaluations: number;
}

/** A layer as every target gets it. */
export interface Exported {
  /** Simplified. */
  readonly layer: LayerGraph;
  readonly genome: Genome;
  /** `formatLayer(layer)`. */
  readonly formula: string;
  /** The functional key. */
  readonly id: string;
  readonly structuralKey: string;
  readonly zooName: string | null;
  /** The proposal of a run that it was, `r1-42`; null where it was named by a formula or by its name. */
  readonly found: string | null;
  readonly scores: Scores | null;
  /** Defaults of the exported code: the settings under which the layer was scored. */
  readonly groups: number;
  readonly movingDecay: number;
}

/** Orders of the axes of inputs and outputs. */
export const LAYOUTS = ['nchw', 'nhwc'] as const;

export interface CodeStyle {
  /** A valid identifier. */
  readonly className: string;
  readonly layout: (typeof LAYOUTS)[number];
}
