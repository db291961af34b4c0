import { align } from '../src/eval/native/arena.ts';
import { type Tensor, tensorFloats } from '../src/eval/native/encode.ts';
import { SLACK } from '../src/eval/native/isa.ts';
import { Machine, type Variant } from '../src/eval/native/machine.ts';
import type { ImageShape } from '../src/eval/network.ts';
import { fillNormal, randomStream } from '../src/eval/random.ts';
import { repetitions } from './measure.ts';

/** Memory for programs that are measured by themselves. */
export class Layout {
  floats = 0;
  readonly #images: number;

  constructor(images: number) {
    this.#images = images;
  }

  allocate(floats: number): number {
    const offset = this.floats;
    this.floats += align(floats + SLACK);
    return offset;
  }

  tensor({ height, width, channels }: ImageShape, halo: number): Tensor {
    const shape = { height, width, channels, halo };
    return { ...shape, offset: this.allocate(tensorFloats(shape, this.#images)) };
  }

  /** A machine with normal values everywhere. */
  machine(variant: Variant): Machine {
    const machine = new Machine(variant, this.floats, this.#images);
    fillNormal(new Float32Array(machine.arena), 1, randomStream('bench arena'));
    return machine;
  }
}

const SAMPLE_MS = 5;

/** Seconds that a program takes, from as many runs as make a sample. */
export function secondsOf(words: Int32Array, machine: Machine, images: number): () => number {
  const program = machine.prepare(words);
  const run = (count: number) => {
    for (let i = 0; i < count; i++) machine.run(program, images);
  };
  run(1);
  const count = repetitions(run, SAMPLE_MS);
  return () => {
    const start = performance.now();
    run(count);
    return (performance.now() - start) / 1000 / count;
  };
}
