import { expect } from 'vitest';
import { ProgramWriter, type Tensor, tensorFloats } from '../../../src/eval/native/encode.ts';
import { SLACK } from '../../../src/eval/native/isa.ts';
import { Machine, type Variant } from '../../../src/eval/native/machine.ts';
import { fillNormal, randomStream } from '../../../src/eval/random.ts';
import { addressOf, forElements } from './reference-instructions.ts';

/** Tensors and blocks in an arena, with room behind each; what a program does there is compared as a whole. */
export class Scene {
  readonly images: number;
  #floats = 0;
  readonly #tensors: Tensor[] = [];

  constructor(images: number) {
    this.images = images;
  }

  block(floats: number): number {
    const at = this.#floats;
    this.#floats += Math.ceil((floats + SLACK) / 16) * 16;
    return at;
  }

  tensor(height: number, width: number, channels: number, halo = 0): Tensor {
    const shape = { height, width, channels, halo };
    const tensor = { ...shape, offset: this.block(tensorFloats(shape, this.images)) };
    this.#tensors.push(tensor);
    return tensor;
  }

  /** Normal numbers everywhere, but zeros in the halos. */
  contents(seed: number): Float32Array {
    const values = new Float32Array(this.#floats);
    fillNormal(values, 1, randomStream('scene', seed));
    for (const tensor of this.#tensors) {
      const all = tensorFloats(tensor, this.images);
      const inside = new Map<number, number>();
      forElements(tensor, this.images, (_i, _r, _c, _k, at) => inside.set(at, values[at]!));
      values.fill(0, tensor.offset, tensor.offset + all);
      for (const [at, value] of inside) values[at] = value;
    }
    return values;
  }

  /** The arena after `program` ran on `contents`. */
  run(
    variant: Variant,
    contents: Float32Array,
    write: (writer: ProgramWriter) => void,
    images = this.images,
  ): Float32Array {
    const writer = new ProgramWriter();
    write(writer);
    const machine = new Machine(variant, this.#floats, this.images);
    new Float32Array(machine.arena).set(contents);
    machine.run(machine.prepare(writer.finish(0)), images);
    const after = new Float32Array(machine.arena.slice(0));
    machine.close();
    return after;
  }
}

/** What a comparison allows. */
export interface Allowed {
  /** Error, as a share of the largest number that the reference wrote, and of 1: sums of such contents may cancel. */
  readonly tolerance: number;
  /** Scratch whose contents do not matter: [offset, floats]. */
  readonly ignored?: readonly (readonly [number, number])[];
}

/** Expects that the machine wrote what the reference wrote, and nothing else. */
export function expectSame(
  before: Float32Array,
  got: Float32Array,
  want: Float64Array,
  { tolerance, ignored = [] }: Allowed,
): void {
  let largest = 1;
  for (const [i, value] of want.entries())
    if (value !== before[i] && Number.isFinite(value)) largest = Math.max(largest, Math.abs(value));
  const matters = new Uint8Array(want.length).fill(1);
  for (const [offset, floats] of ignored) matters.fill(0, offset, offset + floats);
  for (let i = 0; i < want.length; i++) {
    if (!matters[i] || Object.is(got[i], want[i])) continue;
    const written = want[i] !== before[i];
    const error = Math.abs(got[i]! - want[i]!);
    const allowed = written ? tolerance * largest : 0;
    if (!(error <= allowed))
      expect.fail(
        `arena[${i}] is ${got[i]}, not ${want[i]} (before ${before[i]}, allowed ${allowed})`,
      );
  }
}

/** Pixels of a tensor as text, for messages. */
export const describeTensor = ({ height, width, channels, halo }: Tensor): string =>
  `${height}×${width}×${channels}+${halo}`;

export { addressOf };
