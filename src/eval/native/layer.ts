import {
  forwardGraph,
  inferenceLayer,
  movingMoments,
  type TrainingOutput,
  trainingGraph,
} from '../../graph/adjoint.ts';
import { channelAxis, hasBatch, type LayerShape } from '../../graph/extent.ts';
import type { LayerGraph, Node } from '../../graph/graph.ts';
import { moments } from '../../graph/ops.ts';
import type { LayerParameter } from '../network.ts';
import { type Arena, align } from './arena.ts';
import { type Operand, type ProgramWriter, type Tensor, tensorFloats } from './encode.ts';
import { isStreamed, type Kept, keepValues } from './keep.ts';
import { argsOf, isSpatial, lower, type MachineGraph } from './lower.ts';
import { type Phase, schedule } from './schedule.ts';
import { type Binding, emitPhase, emitSmall, holdsImages, type Target } from './sweep.ts';

const GRADIENT = { v0: 'dv0', v1: 'dv1', gamma: 'dgamma', beta: 'dbeta' } as const;

/** A candidate layer compiled for one shape of feature map; it may fill several slots of a network. */
export interface CompiledLayer extends Sizes {
  readonly training: MachineGraph<TrainingOutput>;
  readonly forward: readonly Phase[];
  readonly backward: readonly Phase[];
  readonly inference: MachineGraph<'y'>;
  readonly inferencePhases: readonly Phase[];
  /** Nodes of the training graph whose slots outlive the forward program. */
  readonly kept: readonly number[];
  /** Spatial values that later programs read. */
  readonly keptValues: readonly Kept[];
  /** The raw batch statistics behind the moving statistics, and where those start. */
  readonly statistics: readonly { readonly node: number; readonly initial: number }[];
}

/** What follows from the shape at once. */
interface Sizes {
  readonly shape: LayerShape;
  /** Least multiple of channels and lanes: the floats of a slot. */
  readonly period: number;
  /** Floats of all slots of a program together. */
  readonly slotFloats: number;
}

/** What of a layer's compilation does not depend on the shape: its graphs. */
export function graphsOf(layer: LayerGraph) {
  return {
    training: trainingGraph(layer),
    inference: forwardGraph(inferenceLayer(layer)),
    moving: movingMoments(layer),
  };
}

/** Compiles forward, backward and inference; `trained` says which parameters want gradients. */
export function compileLayer(
  graphs: ReturnType<typeof graphsOf>,
  shape: LayerShape,
  lanes: number,
  trained: readonly LayerParameter[],
): CompiledLayer {
  const training = lower(graphs.training, shape);
  const inference = lower(graphs.inference, shape);
  const { moving } = graphs;
  const statistics = moving.map((moment, i) => ({
    node: training.batchStatistics[i]!,
    initial: moments[moment.op].initialStatistic,
  }));
  const leaves = new Set(leafNodes(training));
  const { outputs } = training;
  const store = { y: outputs.y };
  const raw = statistics.map((s) => s.node);
  const first = new Set(slotNodes(schedule(training, store, raw, leaves)));
  // Running sums are gone when the backward program starts, so whatever it reads off them is taken now.
  const ends = training.nodes.flatMap((node, id) =>
    node.kind === 'moment' && first.has(node.args[0]) ? [id] : [],
  );
  const forward = schedule(training, store, [...raw, ...ends], leaves);
  const computed = slotNodes(forward).filter((id) => training.nodes[id]!.kind !== 'reduce');
  const gradients = trained.map((name) => outputs[GRADIENT[name]]);
  const backward = schedule(
    training,
    { dx: outputs.dx },
    gradients,
    new Set([...leaves, ...computed]),
  );
  const sizes = sizesOf({ training, inference }, shape, lanes);
  const kept = keepValues(
    training,
    { ...store, dx: outputs.dx },
    [forward, backward],
    shape,
    holdsImages(shape, sizes.period),
  );
  const readLater = new Set([...inputsOf(training, backward), ...gradients, ...raw]);
  return {
    ...sizes,
    training,
    forward: kept.programs[0]!,
    backward: kept.programs[1]!,
    keptValues: kept.kept,
    inference,
    inferencePhases: schedule(
      inference,
      { y: inference.outputs.y },
      [],
      new Set(leafNodes(inference)),
    ),
    kept: computed.filter((id) => readLater.has(id)),
    statistics,
  };
}

/**
 * Says of a shape what the compilation of a layer depends on: what it makes for one shape, it makes for all of which
 * this is the same, but for their sizes. Channels that never meet count by the size of the tensors alone.
 */
export function kindOf(
  graphs: Pick<ReturnType<typeof graphsOf>, 'training' | 'inference'>,
  shape: LayerShape,
  lanes: number,
): string {
  const { batch, height, width, channels, groups } = shape;
  const isPerChannel = [...graphs.training.nodes, ...graphs.inference.nodes].every(keepsChannels);
  if (!isPerChannel) return `${batch} ${height} ${width} ${channels} ${groups}`;
  const fits = holdsImages(shape, leastCommonMultiple(channels, lanes));
  return `${batch} ${height * width} ${fits} ${isStreamed(shape)}`;
}

/** Whether a node, or the number it stands for, has nothing to do with how many channels there are. */
function keepsChannels(node: Node): boolean {
  switch (node.op) {
    case 'mean':
    case 'rms':
    case 'std':
      return node.index === 'bwh' || node.index === 'wh';
    case 'moving':
      return channelAxis(node.extent) === 'c';
    case 'sumTo':
      return channelAxis(node.to) === 'c';
    case 'perElement':
      return channelAxis(node.from) === channelAxis(node.to) && channelAxis(node.to) !== 'g';
    default:
      return true;
  }
}

/** The same layer for another shape of the same kind. */
export const resized = (layer: CompiledLayer, shape: LayerShape, lanes: number): CompiledLayer => ({
  ...layer,
  ...sizesOf(layer, shape, lanes),
});

function sizesOf(
  { training, inference }: Pick<CompiledLayer, 'training' | 'inference'>,
  shape: LayerShape,
  lanes: number,
): Sizes {
  const period = leastCommonMultiple(shape.channels, lanes);
  const floats = ({ nodes }: MachineGraph<string>) =>
    nodes.reduce(
      (sum, node) => sum + (isSpatial(node) ? 0 : slotFloats(node, shape.batch, period)),
      0,
    );
  return { shape, period, slotFloats: align(Math.max(floats(training), floats(inference))) };
}

function leastCommonMultiple(a: number, b: number): number {
  let [x, y] = [a, b];
  while (y > 0) [x, y] = [y, x % y];
  return (a / x) * b;
}

/** Nodes without space that are there before any program runs: parameters, constants, moving statistics. */
const leafNodes = (graph: MachineGraph<string>): number[] =>
  graph.nodes.flatMap((node, id) => (argsOf(node).length === 0 && !isSpatial(node) ? [id] : []));

/** Every node whose value a schedule puts into a slot. */
const slotNodes = (phases: readonly Phase[]): number[] =>
  phases.flatMap(({ small, passes }) => [
    ...small,
    ...passes.flatMap((pass) => [...pass.prelude, ...pass.reductions, ...pass.epilogue]),
  ]);

/** Every node that the computation of a schedule reads, through recomputed spatial nodes too. */
function inputsOf(graph: MachineGraph<TrainingOutput>, phases: readonly Phase[]): Set<number> {
  const read = new Set<number>();
  const visit = (id: number) => {
    if (read.has(id)) return;
    read.add(id);
    if (isSpatial(graph.nodes[id]!)) for (const a of argsOf(graph.nodes[id]!)) visit(a);
  };
  for (const id of slotNodes(phases)) for (const a of argsOf(graph.nodes[id]!)) visit(a);
  visit(graph.outputs.dx);
  return read;
}

/** The addresses that one slot of the network gives to a compiled layer. */
export interface LayerPlace {
  readonly x: Tensor;
  readonly y: Tensor;
  /** Gradients of y and x; x may want none. */
  readonly dy: Tensor;
  readonly dx: Target | undefined;
  /** Offsets of the parameters and of their gradients. */
  readonly parameters: Readonly<
    Partial<Record<LayerParameter, { value: number; gradient: number }>>
  >;
}

/** What all layers of a network share: scratch for slots that live inside one program, and for tile registers. */
export interface Scratch {
  readonly slots: number;
  readonly registers: { floats: number };
  /** Slot of a constant. */
  readonly constant: (value: number, period: number) => number;
}

/** Floats of scratch that any program of the layer may need: slots, and then kept values that do not last. */
export function scratchFloats(layer: CompiledLayer): number {
  const passing = layer.keptValues.filter(({ lasting }) => !lasting).length;
  return layer.slotFloats + passing * align(keptFloats(layer));
}

const keptFloats = ({ shape }: CompiledLayer): number =>
  tensorFloats({ ...shape, halo: 0 }, shape.batch);

const slotFloats = (node: MachineGraph<string>['nodes'][number], batch: number, period: number) =>
  node.kind === 'reduce' ? 3 * period : hasBatch(node.extent) ? batch * period : period;

/** One slot of the network with its persistent memory; emits its programs. */
export class PlacedLayer {
  /** Slots of the moving statistics, and their initial values. */
  readonly moving: readonly { readonly offset: number; readonly initial: number }[];
  readonly #layer: CompiledLayer;
  readonly #place: LayerPlace;
  readonly #scratch: Scratch;
  readonly #kept: ReadonlyMap<number, number>;
  readonly #values: ReadonlyMap<number, Tensor>;
  readonly #spread: ReadonlyMap<LayerParameter, number>;

  constructor(layer: CompiledLayer, place: LayerPlace, scratch: Scratch, arena: Arena) {
    this.#layer = layer;
    this.#place = place;
    this.#scratch = scratch;
    const { period, shape, training } = layer;
    this.#kept = new Map(
      layer.kept.map((id) => [
        id,
        arena.allocate(slotFloats(training.nodes[id]!, shape.batch, period)),
      ]),
    );
    this.#values = keptTensors(layer, scratch, arena);
    const names = Object.keys(place.parameters) as LayerParameter[];
    this.#spread = new Map(names.map((name) => [name, arena.allocate(period)]));
    this.moving = layer.statistics.map(({ initial }) => ({
      offset: arena.allocate(period),
      initial,
    }));
  }

  /** y from x, keeping what the backward program reads. */
  forward(out: ProgramWriter): void {
    const { training, forward } = this.#layer;
    const y = { node: training.outputs.y, target: { tensor: this.#place.y, accumulate: false } };
    this.#spreadParameters(out);
    this.#emit(training, forward, { y }, out);
  }

  /** dx and the parameters' gradients from x and dy. */
  backward(out: ProgramWriter): void {
    const { training, backward } = this.#layer;
    const { dx } = this.#place;
    const phases = dx ? backward : backward.map(withoutStores);
    const targets = dx ? { dx: { node: training.outputs.dx, target: dx } } : {};
    this.#gather(this.#emit(training, phases, targets, out), out);
  }

  /** y from x with moving statistics. */
  inference(out: ProgramWriter): void {
    const { inference, inferencePhases } = this.#layer;
    const y = { node: inference.outputs.y, target: { tensor: this.#place.y, accumulate: false } };
    this.#spreadParameters(out);
    this.#emit(inference, inferencePhases, { y }, out);
  }

  /** Moving statistics ← decay·moving statistics + (1 − decay)·batch statistics. */
  updateStatistics(decay: number, out: ProgramWriter): void {
    const constant = (value: number) => slotAt(this.#scratch.constant(value, this.#layer.period));
    const fresh = slotAt(this.#scratch.slots);
    if (this.moving.length === 0) return;
    this.#small(out, () => {
      for (const [i, { node }] of this.#layer.statistics.entries()) {
        const moving = slotAt(this.moving[i]!.offset);
        out.record('mul', fresh, [slotAt(this.#kept.get(node)!), constant(1 - decay)]);
        out.record('fma', moving, [moving, constant(decay), fresh]);
      }
    });
  }

  #emit(
    graph: MachineGraph<string>,
    phases: readonly Phase[],
    targets: Binding['targets'],
    out: ProgramWriter,
  ): Binding {
    const binding = this.#binding(graph, targets);
    for (const phase of phases) emitPhase(phase, binding, out);
    return binding;
  }

  #binding(graph: MachineGraph<string>, targets: Binding['targets']): Binding {
    const { x, dy } = this.#place;
    const { period } = this.#layer;
    const { registers } = this.#scratch;
    const kept = graph === this.#layer.training ? this.#values : new Map<number, Tensor>();
    const slot = this.#slots(graph);
    return { graph, period, inputs: { x, dy }, targets, kept, registers, slot };
  }

  /** Addresses of slots: kept ones have their own, the others are put one after another into scratch. */
  #slots(graph: MachineGraph<string>): (id: number) => Operand {
    const { period, shape, training } = this.#layer;
    const addresses = new Map<number, number>(graph === training ? this.#kept : []);
    let next = this.#scratch.slots;
    const address = (id: number): number => {
      const node = graph.nodes[id]!;
      if (node.kind === 'constant') return this.#scratch.constant(node.value, period);
      if (node.kind === 'parameter') return this.#spread.get(node.name)!;
      if (node.kind === 'moving') return this.moving[node.slot]!.offset;
      const at = addresses.get(id) ?? next;
      if (at === next) next += slotFloats(node, shape.batch, period);
      addresses.set(id, at);
      return at;
    };
    return (id) => {
      const node = graph.nodes[id]!;
      const imageSlot = hasBatch(node.extent) && node.kind !== 'reduce';
      return { kind: imageSlot ? 'imageSlot' : 'slot', at: address(id) };
    };
  }

  #spreadParameters(out: ProgramWriter): void {
    const { parameters } = this.#place;
    this.#small(out, () => {
      for (const [name, slot] of this.#spread)
        out.record('spread', slotAt(slot), [slotAt(parameters[name]!.value)]);
    });
  }

  #gather(binding: Binding, out: ProgramWriter): void {
    const { outputs } = this.#layer.training;
    this.#small(out, () => {
      for (const name of this.#spread.keys())
        out.record('gather', slotAt(this.#place.parameters[name]!.gradient), [
          binding.slot(outputs[GRADIENT[name]]),
        ]);
    });
  }

  #small(out: ProgramWriter, write: () => void): void {
    emitSmall(out, this.#layer.shape.channels, this.#layer.period, write);
  }
}

/** Places for the kept values: those that last have their own, the others stand behind the slots in scratch. */
function keptTensors(layer: CompiledLayer, scratch: Scratch, arena: Arena): Map<number, Tensor> {
  const { height, width, channels } = layer.shape;
  const floats = keptFloats(layer);
  let next = scratch.slots + layer.slotFloats;
  const place = (lasting: boolean): number => {
    if (lasting) return arena.allocate(floats);
    next += align(floats);
    return next - align(floats);
  };
  return new Map(
    layer.keptValues.map(({ node, lasting }) => [
      node,
      { offset: place(lasting), height, width, channels, halo: 0 },
    ]),
  );
}

const slotAt = (at: number): Operand => ({ kind: 'slot', at });

const withoutStores = (phase: Phase): Phase => ({
  ...phase,
  passes: phase.passes.map((pass) => ({ ...pass, stores: [] })),
});
