import { type ImageShape, type Network, type NetworkOp, tensorShapes } from '../network.ts';
import type { Arena, BufferRequest, Lifetime } from './arena.ts';
import { type Tensor, tensorFloats } from './encode.ts';

/** Where the tensors of a network and their gradients stand. */
export interface Buffers {
  /** By tensor number; a tensor that is never materialised has the place of the sum that swallowed it. */
  readonly values: readonly Tensor[];
  readonly gradients: readonly Tensor[];
  /** Convolutions that write the sum of an `add` themselves: the sum's tensor and its other term. */
  readonly sumInto: ReadonlyMap<number, { readonly tensor: number; readonly other: number }>;
  /** `add` operations that such a convolution has done. */
  readonly fusedAdds: ReadonlySet<number>;
  /** The small vectors of `squeezeExcite` operations, by operation. */
  readonly excitations: ReadonlyMap<number, Excitation>;
  /** Whether operation `op`, in backward order, adds to the gradient of its input `tensor` (or is the first to write it). */
  readonly accumulates: (op: number, tensor: number) => boolean;
}

/** Vectors of a `squeezeExcite`, as 1×1 images. */
export interface Excitation {
  /** Kept for the backward pass: the mean, the reduced vector before and after silu, and the factors. */
  readonly mean: Tensor;
  readonly reduced: Tensor;
  readonly active: Tensor;
  readonly factors: Tensor;
  /** Gradients of the mean, of the reduced vector and of the factors. */
  readonly dMean: Tensor;
  readonly dReduced: Tensor;
  readonly dFactors: Tensor;
}

const inputsOf = (op: NetworkOp): readonly number[] => (op.op === 'add' ? op.inputs : [op.input]);

/** Plans all activations and gradients of a training step on `batch` images into `arena`. */
export function planBuffers(
  network: Network,
  batch: number,
  images: number,
  arena: Arena,
): Buffers {
  const readers = readersOf(network);
  const sumInto = fuseSums(network, readers);
  const fusedAdds = new Set([...sumInto.values()].map(({ tensor }) => tensor - 1));
  const group = gradientGroups(network, readers);
  const shapes = tensorShapes(network);
  const valueHalo = shapes.map((_, t) =>
    Math.max(0, ...readers[t]!.map((i) => padding(network, i))),
  );
  const gradientHalo = shapes.map((_, t) => (t === 0 ? 0 : padding(network, t - 1)));
  const members = membersOf(group);
  const groupHalo = group.map((g) => Math.max(...members[g]!.map((t) => gradientHalo[t]!)));
  const requests: BufferRequest[] = [];
  const request = (shape: ImageShape, halo: number, life: Lifetime) => {
    const floats = tensorFloats({ ...shape, halo }, batch);
    const { height, width, channels } = shape;
    const layout = halo === 0 ? {} : { layout: `${height}×${width}×${channels} halo ${halo}` };
    return requests.push({ floats, ...layout, ...life }) - 1;
  };
  const swallowed = new Map([...sumInto].map(([conv, { tensor }]) => [conv + 1, tensor]));
  const lives = lifetimes(network, readers, members, sumInto);
  const valueAt = shapes.map((shape, t) =>
    (t === 0 && valueHalo[0] === 0) || swallowed.has(t)
      ? -1
      : request(shape, valueHalo[t]!, lives.value(t)),
  );
  const gradientAt = shapes.map((shape, t) =>
    t === 0 || group[t] !== t ? -1 : request(shape, groupHalo[t]!, lives.gradient(t)),
  );
  const excitationAt = requestExcitations(network, shapes, batch, requests);
  const offsets = arena.place(requests);
  const value = (t: number): Tensor => ({
    ...shapes[t]!,
    halo: valueHalo[t]!,
    offset: valueAt[t]! < 0 ? images : offsets[valueAt[t]!]!,
  });
  return {
    values: shapes.map((_, t) => value(swallowed.get(t) ?? t)),
    gradients: shapes.map((shape, t) => ({
      ...shape,
      halo: groupHalo[t]!,
      offset: t === 0 ? -1 : offsets[gradientAt[group[t]!]!]!,
    })),
    sumInto,
    fusedAdds,
    excitations: new Map(
      [...excitationAt].map(([i, place]) => [i, place((request) => offsets[request]!)]),
    ),
    accumulates: accumulation(network, readers, group),
  };
}

/** Requests the vectors of each `squeezeExcite`; returns for each what makes them tensors once requests have offsets. */
function requestExcitations(
  network: Network,
  shapes: readonly ImageShape[],
  batch: number,
  requests: BufferRequest[],
) {
  const { back } = clockOf(network);
  const result = new Map<number, (offsetOf: (request: number) => number) => Excitation>();
  for (const [i, op] of network.ops.entries()) {
    if (op.op !== 'squeezeExcite') continue;
    const vector = (channels: number, from: number) => {
      const at = requests.push({ floats: batch * channels, from, to: back(i) });
      return { request: at - 1, channels };
    };
    const { channels } = shapes[op.input]!;
    const wanted = {
      mean: vector(channels, i),
      reduced: vector(op.reduced, i),
      active: vector(op.reduced, i),
      factors: vector(channels, i),
      dMean: vector(channels, back(i)),
      dReduced: vector(op.reduced, back(i)),
      dFactors: vector(channels, back(i)),
    };
    result.set(i, (offsetOf) => {
      const tensors = Object.entries(wanted).map(([name, { request, channels }]) => [
        name,
        { offset: offsetOf(request), height: 1, width: 1, channels, halo: 0 },
      ]);
      return Object.fromEntries(tensors) as Record<keyof typeof wanted, Tensor>;
    });
  }
  return result;
}

/** For each tensor, the operations that read it, in order. */
function readersOf(network: Network): number[][] {
  const readers: number[][] = Array.from({ length: network.ops.length + 1 }, () => []);
  for (const [i, op] of network.ops.entries()) for (const t of inputsOf(op)) readers[t]!.push(i);
  return readers;
}

/** The halo that operation `i` wants around its input, and its gradient around its output. */
function padding(network: Network, i: number): number {
  const op = network.ops[i]!;
  return op.op === 'conv' || op.op === 'depthwise' ? (op.kernel - 1) / 2 : 0;
}

/** A sum is written by the convolution that makes its later term, if nothing else reads that term. */
function fuseSums(network: Network, readers: readonly (readonly number[])[]) {
  const sums = new Map<number, { tensor: number; other: number }>();
  for (const [i, op] of network.ops.entries()) {
    if (op.op !== 'add') continue;
    const [other, term] = [...op.inputs].sort((a, b) => a - b) as [number, number];
    const conv = term - 1;
    if (term !== other && network.ops[conv]?.op === 'conv' && readers[term]!.length === 1)
      sums.set(conv, { tensor: i + 1, other });
  }
  return sums;
}

/**
 * The gradient of a sum is the gradient of its terms, so they share one buffer where nothing goes wrong:
 * a term whose other readers add to it must not spoil what the sum's other term has yet to read.
 * Returns for each tensor the one whose buffer it uses.
 */
function gradientGroups(network: Network, readers: readonly (readonly number[])[]): number[] {
  const group = Array.from({ length: network.ops.length + 1 }, (_, t) => t);
  for (let i = network.ops.length - 1; i >= 0; i--) {
    const op = network.ops[i]!;
    if (op.op !== 'add' || op.inputs[0] === op.inputs[1]) continue;
    const sum = i + 1;
    const lastReader = (t: number) => Math.max(-1, ...readers[t]!.filter((r) => r !== i));
    const [a, b] = op.inputs;
    // In backward order, a tensor's gradient is complete when its producer (operation t − 1) runs.
    const share = (t: number, sibling: number) =>
      t !== 0 && firstContribution(readers, t, i) && lastReader(t) < sibling - 1;
    if (share(a, b)) group[a] = group[sum]!;
    if (share(b, a)) group[b] = group[sum]!;
  }
  return group;
}

/** The tensors that share the buffer of each. */
function membersOf(group: readonly number[]): number[][] {
  const members: number[][] = group.map(() => []);
  for (const [t, g] of group.entries()) members[g]!.push(t);
  return members;
}

/** True where operation `i` is the first in backward order to contribute to tensor `t`. */
const firstContribution = (
  readers: readonly (readonly number[])[],
  t: number,
  i: number,
): boolean => Math.max(...readers[t]!) === i;

function accumulation(
  network: Network,
  readers: readonly (readonly number[])[],
  group: readonly number[],
): (op: number, tensor: number) => boolean {
  return (op, tensor) => {
    const node = network.ops[op]!;
    // Both terms of x + x: the second copy adds. `add` asks once per input, and shares no buffer then.
    if (node.op === 'add' && node.inputs[0] === node.inputs[1])
      throw new Error('internal: a tensor added to itself');
    return (
      !firstContribution(readers, tensor, op) ||
      (node.op === 'add' && group[tensor] === group[op + 1])
    );
  };
}

/** Time runs through the forward operations, where operation i runs at time i, and back. */
function clockOf({ ops }: Network) {
  const end = 2 * ops.length + 1;
  return { back: (i: number) => end - i };
}

function lifetimes(
  network: Network,
  readers: readonly (readonly number[])[],
  members: readonly (readonly number[])[],
  sumInto: Buffers['sumInto'],
) {
  const { back } = clockOf(network);
  const writers = new Map([...sumInto].map(([conv, { tensor }]) => [tensor, conv]));
  const read = (t: number) => readers[t]!;
  return {
    /** A value lives until its last reader has its gradients (a sum or a pool needs no value for them). */
    value(t: number): Lifetime {
      const needsValue = read(t).filter((i) => !['add', 'pool'].includes(network.ops[i]!.op));
      const logits = read(t).length === 0;
      const to = Math.max(
        ...read(t),
        ...needsValue.map(back),
        logits ? back(network.ops.length) : t,
      );
      return { from: writers.get(t) ?? t - 1, to };
    },
    gradient(t: number): Lifetime {
      const lastReader = Math.max(...members[t]!.map((m) => Math.max(m - 1, ...read(m))));
      return {
        from: read(t).length === 0 ? back(network.ops.length) : back(lastReader),
        to: back(Math.min(...members[t]!) - 1),
      };
    },
  };
}
