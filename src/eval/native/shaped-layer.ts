import { effectiveGroups, type LayerShape } from '../../graph/extent.ts';
import type { LayerGraph } from '../../graph/graph.ts';
import type { TrainingSetup } from '../engine.ts';
import { type ImageShape, layerParameters } from '../network.ts';
import { type CompiledLayer, compileLayer, graphsOf, kindOf, resized } from './layer.ts';

/** A layer that is compiled for each shape of feature map once, for all networks whose slots it fills. */
export class ShapedLayer {
  readonly graph: LayerGraph;
  readonly setup: TrainingSetup;
  readonly #lanes: number;
  readonly #graphs: ReturnType<typeof graphsOf>;
  readonly #compiled = new Map<string, CompiledLayer>();
  readonly #kinds = new Map<string, CompiledLayer>();

  constructor(graph: LayerGraph, setup: TrainingSetup, lanes: number) {
    this.graph = graph;
    this.setup = setup;
    this.#lanes = lanes;
    this.#graphs = graphsOf(graph);
  }

  at({ height, width, channels }: ImageShape): CompiledLayer {
    const key = `${height} ${width} ${channels}`;
    let compiled = this.#compiled.get(key);
    if (!compiled) {
      const { batch, groups } = this.setup;
      const shape = { height, width, channels, batch, groups: effectiveGroups(channels, groups) };
      compiled = this.#compile(shape);
      this.#compiled.set(key, compiled);
    }
    return compiled;
  }

  /** Most of the shapes in a network are of few kinds. */
  #compile(shape: LayerShape): CompiledLayer {
    const kind = kindOf(this.#graphs, shape, this.#lanes);
    const alike = this.#kinds.get(kind);
    if (alike) return resized(alike, shape, this.#lanes);
    const compiled = compileLayer(this.#graphs, shape, this.#lanes, layerParameters(this.graph));
    this.#kinds.set(kind, compiled);
    return compiled;
  }
}
