import { Arena } from '../../../src/eval/native/arena.ts';
import { ProgramWriter, type Tensor, tensorFloats } from '../../../src/eval/native/encode.ts';
import { SLACK } from '../../../src/eval/native/isa.ts';
import {
  compileLayer,
  graphsOf,
  PlacedLayer,
  scratchFloats,
} from '../../../src/eval/native/layer.ts';
import type { LayerShape } from '../../../src/graph/extent.ts';
import type { LayerGraph } from '../../../src/graph/graph.ts';

/** The arrays of one layer: x, dy and y, dx are NHWC of `shape`; the others are per channel. */
export interface LayerArrays {
  readonly x: Float64Array;
  readonly dy: Float64Array;
  readonly v0: Float64Array;
  readonly v1: Float64Array;
  readonly gamma: Float64Array;
  readonly beta: Float64Array;
}

export interface LayerResult {
  readonly y: Float64Array;
  readonly dx: Float64Array;
  readonly dv0: Float64Array;
  readonly dv1: Float64Array;
  readonly dgamma: Float64Array;
  readonly dbeta: Float64Array;
  /** Moving statistics after one step with decay 0.9, by slot, per channel. */
  readonly moving: readonly Float64Array[];
  /** Inference output with those moving statistics. */
  readonly inferred: Float64Array;
}

export type Run = (program: Int32Array, arena: Float32Array | Float64Array, images: number) => void;

export interface HarnessOptions {
  /** Halos of x, y, dy, dx: the compiler must cope with any. */
  readonly halos?: readonly [number, number, number, number];
  /** dx is added to this. */
  readonly before?: Float64Array;
}

const NAMES = ['v0', 'v1', 'gamma', 'beta'] as const;

/** Compiles one layer, runs forward, backward, statistics and inference on `machine`, and reads everything back. */
export function runLayer(
  layer: LayerGraph,
  shape: LayerShape,
  arrays: LayerArrays,
  lanes: number,
  machine: (floats: number, images: number) => { arena: Float32Array | Float64Array; run: Run },
  { halos = [0, 0, 0, 0], before }: HarnessOptions = {},
): LayerResult {
  const compiled = compileLayer(graphsOf(layer), shape, lanes, NAMES);
  const arena = new Arena();
  const tensor = (halo: number): Tensor => {
    const { height, width, channels } = shape;
    const t = { height, width, channels, halo };
    return { ...t, offset: arena.allocate(tensorFloats(t, shape.batch)) };
  };
  const [x, y, dy, dx] = halos.map(tensor) as [Tensor, Tensor, Tensor, Tensor];
  const parameters = Object.fromEntries(
    NAMES.map((name) => [
      name,
      { value: arena.allocate(shape.channels), gradient: arena.allocate(shape.channels) },
    ]),
  ) as Record<(typeof NAMES)[number], { value: number; gradient: number }>;
  const constants = new Map<string, { offset: number; value: number; period: number }>();
  const constant = (value: number, period: number): number => {
    const key = `${value} ${period}`;
    const slot = constants.get(key) ?? { offset: arena.allocate(period), value, period };
    constants.set(key, slot);
    return slot.offset;
  };
  const slots = arena.allocate(scratchFloats(compiled));
  const registers = { floats: 0 };
  const place = { x, y, dy, dx: { tensor: dx, accumulate: before !== undefined }, parameters };
  const placed = new PlacedLayer(compiled, place, { slots, registers, constant }, arena);
  const [train, infer] = [new ProgramWriter(), new ProgramWriter()];
  placed.forward(train);
  placed.backward(train);
  placed.updateStatistics(0.9, train);
  placed.inference(infer);
  const base = arena.allocate(registers.floats);
  const { arena: memory, run } = machine(arena.size + SLACK, shape.batch);
  for (const { offset, value, period } of constants.values())
    memory.fill(value, offset, offset + period);
  for (const { offset, initial } of placed.moving)
    memory.fill(initial, offset, offset + compiled.period);
  for (const name of NAMES) memory.set(arrays[name], parameters[name].value);
  copy(x, shape, (i, at) => {
    memory[at] = arrays.x[i]!;
  });
  copy(dy, shape, (i, at) => {
    memory[at] = arrays.dy[i]!;
  });
  if (before)
    copy(dx, shape, (i, at) => {
      memory[at] = before[i]!;
    });
  const read = (t: Tensor) => {
    const out = new Float64Array(arrays.x.length);
    copy(t, shape, (i, at) => {
      out[i] = memory[at]!;
    });
    return out;
  };
  run(train.finish(base), memory, shape.batch);
  const trained = { y: read(y), dx: read(dx) };
  run(infer.finish(base), memory, shape.batch);
  const channelsAt = (offset: number) =>
    Float64Array.from(memory.subarray(offset, offset + shape.channels));
  return {
    ...trained,
    dv0: channelsAt(parameters.v0.gradient),
    dv1: channelsAt(parameters.v1.gradient),
    dgamma: channelsAt(parameters.gamma.gradient),
    dbeta: channelsAt(parameters.beta.gradient),
    moving: placed.moving.map(({ offset }) => channelsAt(offset)),
    inferred: read(y),
  };
}

/** Visits every element: its NHWC index and its place in the arena. */
function copy(t: Tensor, shape: LayerShape, visit: (index: number, at: number) => void): void {
  const { batch, height, width, channels } = shape;
  let index = 0;
  for (let n = 0; n < batch; n++)
    for (let h = 0; h < height; h++)
      for (let w = 0; w < width; w++)
        for (let c = 0; c < channels; c++) {
          const row = n * (height + 2 * t.halo) + h + t.halo;
          visit(index++, t.offset + (row * (width + 2 * t.halo) + w + t.halo) * channels + c);
        }
}
