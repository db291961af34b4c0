import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { Operand, ProgramWriter } from '../../../src/eval/native/encode.ts';
import { ELEMENTWISE_RECORDS, type RecordName } from '../../../src/eval/native/isa.ts';
import { lanesOf, type Variant, variants } from '../../../src/eval/native/machine.ts';
import { forElements } from './reference-instructions.ts';
import { runs } from './runs.ts';
import { Scene } from './scene.ts';
import { simulate } from './simulator.ts';

type Elementwise = (typeof ELEMENTWISE_RECORDS)[number];

const ARITY: Record<Elementwise, 1 | 2 | 3> = {
  ...{ add: 2, mul: 2, div: 2, max: 2, sub: 2, step: 2, fma: 3, fnma: 3 },
  ...{ fms: 3, gate: 3, complement: 2, tanhGradient: 2 },
  ...{ neg: 1, sigmoid: 1, tanh: 1, exp: 1, log: 1, abs: 1, square: 1, sqrt: 1, sign: 1 },
  ...{ clear: 1, reciprocal: 1, rootEps: 1, copy: 1 },
};

const CHANNELS = [1, 3, 5, 7, 8, 12, 16, 24, 32, 40];
const shapes = fc.record({
  channels: fc.constantFrom(...CHANNELS),
  image: fc.constantFrom<readonly [number, number]>([1, 1], [4, 4], [5, 7], [14, 14]),
  images: fc.constantFrom(1, 2, 5),
  tilePixels: fc.constantFrom(1, 3, 16, 49, 300),
  seed: fc.nat(),
});
type Shape = typeof shapes extends fc.Arbitrary<infer T> ? T : never;

const register = (at: number): Operand => ({ kind: 'register', at });
const tensor = (at: number): Operand => ({ kind: 'tensor', at });
const slot = (at: number): Operand => ({ kind: 'slot', at });
const imageSlot = (at: number): Operand => ({ kind: 'imageSlot', at });

const gcd = (a: number, b: number): number => (b === 0 ? a : gcd(b, a % b));

type Line = readonly [code: RecordName, dst: Operand, args: readonly Operand[], ...rest: number[]];
interface Pass {
  readonly prelude?: readonly Line[];
  readonly tile?: readonly Line[];
  readonly epilogue?: readonly Line[];
}

/** Tensors 0–2 to read and 3 to write, and slots whose contents repeat as those of slots do. */
class Stage {
  readonly scene: Scene;
  readonly tensors: readonly ReturnType<Scene['tensor']>[];
  readonly period: number;
  readonly #shape: Shape;
  readonly #registerFloats: number;
  readonly #registers: number;
  readonly #patterns: number[] = [];

  constructor(variant: Variant, shape: Shape, halos: readonly [number, number]) {
    const { channels, image, images, tilePixels } = shape;
    const lanes = lanesOf(variant);
    this.#shape = shape;
    this.period = (channels * lanes) / gcd(channels, lanes);
    this.scene = new Scene(images);
    const [height, width] = image;
    this.tensors = [halos[0], 0, 0, halos[1]].map((halo) =>
      this.scene.tensor(height, width, channels, halo),
    );
    this.#registerFloats = Math.ceil((tilePixels * channels) / 16) * 16;
    this.#registers = this.scene.block(3 * this.#registerFloats);
  }

  /** Room for `periods`, per image if need be. */
  slot(periods: number): number {
    const at = this.scene.block(periods * this.period);
    for (let p = 0; p < periods; p++) this.#patterns.push(at + p * this.period);
    return at;
  }

  /** Room that is compared, but is no slot. */
  block(floats: number): number {
    return this.scene.block(floats);
  }

  contents(): Float32Array {
    const contents = this.scene.contents(this.#shape.seed);
    const { channels } = this.#shape;
    for (const at of this.#patterns)
      for (let i = channels; i < this.period; i++) contents[at + i] = contents[at + i - channels]!;
    return contents;
  }

  writeSweep(writer: ProgramWriter, passes: readonly Pass[]): void {
    const { channels, image, tilePixels } = this.#shape;
    writer.begin('sweep');
    const sizes = [...image, channels, this.period, tilePixels, 3, this.#registerFloats];
    for (const word of [...sizes, this.#registers, this.tensors.length]) writer.word(word);
    for (const t of this.tensors) writer.tensor(t);
    writer.word(passes.length);
    for (const { prelude = [], tile = [], epilogue = [] } of passes) {
      for (const lines of [prelude, tile, epilogue]) writer.word(lines.length);
      for (const line of [...prelude, ...tile, ...epilogue]) writer.record(...line);
    }
    writer.end();
  }

  writeSmall(writer: ProgramWriter, lines: readonly Line[]): void {
    writer.begin('small');
    for (const word of [this.#shape.channels, this.period, lines.length]) writer.word(word);
    for (const line of lines) writer.record(...line);
    writer.end();
  }

  /** Runs on the machine and in the simulator; expects the same everywhere but in registers and in `ignored`. */
  compare(
    variant: Variant,
    write: (writer: ProgramWriter) => void,
    tolerance: number,
    contents = this.contents(),
    ignored: readonly (readonly [number, number])[] = [],
  ): void {
    let program: Int32Array = new Int32Array();
    const got = this.scene.run(variant, contents, (writer) => {
      write(writer);
      program = writer.finish(0);
    });
    const want = Float64Array.from(contents);
    simulate(program, want, this.#shape.images);
    for (const [at, floats] of [...ignored, [this.#registers, 3 * this.#registerFloats] as const])
      for (const memory of [got, want]) memory.fill(0, at, at + floats);
    for (const [i, value] of want.entries())
      if (!Object.is(got[i], value) && !close(got[i]!, value, tolerance))
        expect.fail(`arena[${i}] is ${got[i]}, not ${value} (before ${contents[i]})`);
  }
}

const close = (got: number, want: number, tolerance: number): boolean =>
  got === want || Math.abs(got - want) <= tolerance * Math.max(1, Math.abs(want));

/** Where an argument comes from, and where the result goes. */
const kinds = fc.constantFrom('register', 'tensor', 'slot', 'imageSlot');

describe.each(variants())('records on %s kernels', (variant) => {
  const check = <T>(arbitrary: fc.Arbitrary<T>, property: (value: T) => void, numRuns: number) =>
    fc.assert(fc.property(arbitrary, property), { numRuns: runs(numRuns) });

  it.each(ELEMENTWISE_RECORDS)('%s in tiles, on any kinds of operands', (code) => {
    const cases = fc.record({
      shape: shapes,
      args: fc.tuple(kinds, kinds, kinds),
      toRegister: fc.boolean(),
      halos: fc.tuple(fc.nat({ max: 2 }), fc.nat({ max: 2 })),
    });
    check(
      cases,
      ({ shape, args, toRegister, halos }) => {
        const stage = new Stage(variant, shape, halos);
        const [s, n] = [stage.slot(1), stage.slot(shape.images)];
        // A tensor with a halo is loaded by `copy`.
        const operands = {
          register: register(0),
          tensor: tensor(1),
          slot: slot(s),
          imageSlot: imageSlot(n),
        };
        const result = toRegister ? register(1) : tensor(3);
        const tile: Line[] = [
          ['copy', register(0), [tensor(0)]],
          [code, result, args.slice(0, ARITY[code]).map((kind) => operands[kind])],
        ];
        if (toRegister) tile.push(['copy', tensor(3), [register(1)]]);
        stage.compare(variant, (writer) => stage.writeSweep(writer, [{ tile }]), 2e-6);
      },
      15,
    );
  });

  it.each(ELEMENTWISE_RECORDS)('%s on slots', (code) => {
    check(
      shapes,
      (shape) => {
        const stage = new Stage(variant, shape, [0, 0]);
        const [a, b, c] = [stage.slot(1), stage.slot(shape.images), stage.slot(1)];
        const [d, e, f] = [stage.slot(shape.images), stage.slot(1), stage.slot(1)];
        const onImages = [slot(a), imageSlot(b), slot(c)].slice(0, ARITY[code]);
        const onSlots = [slot(a), slot(c), slot(c)].slice(0, ARITY[code]);
        const write = (writer: ProgramWriter) => {
          stage.writeSweep(writer, [
            { prelude: [[code, imageSlot(d), onImages]], epilogue: [[code, slot(e), onSlots]] },
          ]);
          stage.writeSmall(writer, [[code, slot(f), onSlots]]);
        };
        stage.compare(variant, write, 2e-6);
      },
      5,
    );
  });

  it('sums and dot products, by image and by batch, in tiles and of slots', () => {
    check(
      fc.tuple(shapes, fc.nat({ max: 2 }), fc.boolean()),
      ([shape, halo, dot]) => {
        const stage = new Stage(variant, shape, [halo, 0]);
        const code = dot ? 'dot' : 'sum';
        const rest = dot ? [tensor(2)] : [];
        const [perImage, overall, ofSlots, s, n] = [1, 1, 1, 1, shape.images].map((k) =>
          stage.slot(k),
        ) as [number, number, number, number, number];
        const [byImage, total, group] = [shape.images, 1, 1].map((k) => stage.slot(k)) as [
          number,
          number,
          number,
        ];
        const { channels } = shape;
        const tile: Line[] = [
          ['copy', register(0), [tensor(0)]],
          [code, slot(perImage), [register(0), ...rest], 0],
          [code, slot(overall), [tensor(1), ...(dot ? [slot(s)] : [])], 1],
        ];
        const epilogue: Line[] = [
          ['fold', imageSlot(byImage), [slot(perImage)], 0, 1],
          ['fold', slot(total), [slot(overall)], 0, channels],
          [code, slot(ofSlots), [imageSlot(byImage), ...(dot ? [imageSlot(n)] : [])], 1],
          ['fold', slot(group), [slot(ofSlots)], 0, channels % 4 === 0 ? channels / 4 : 1],
        ];
        const sums = [perImage, overall, ofSlots].map((at) => [at, stage.period] as const);
        const write = (writer: ProgramWriter) => stage.writeSweep(writer, [{ tile, epilogue }]);
        // Rounding errors are those of the terms, of which there are up to 40 thousand.
        stage.compare(variant, write, 1e-3, stage.contents(), sums);
      },
      60,
    );
  });

  it('moments of channels, groups and all, by image and by batch', () => {
    check(
      fc.tuple(shapes, fc.constantFrom(0, 1000)),
      ([shape, mean]) => {
        const stage = new Stage(variant, shape, [0, 0]);
        const { channels, images, image } = shape;
        const pixels = image[0] * image[1];
        const sizes = [1, channels % 4 === 0 ? 4 : channels, channels];
        const [perImage, overall, ofSlots] = [0, 1, 2].map(() => stage.slot(3)) as [
          number,
          number,
          number,
        ];
        const results = [0, 1, 2].flatMap((kind) =>
          sizes.map((size) => ({
            kind,
            size,
            n: stage.slot(images),
            s: stage.slot(1),
            b: stage.slot(1),
          })),
        );
        const tile: Line[] = [
          ['stats', slot(perImage), [tensor(1)], 0],
          ['stats', slot(overall), [tensor(1)], 1],
        ];
        const epilogue: Line[] = results.flatMap(({ kind, size, n, s, b }, i): Line[] => [
          ['moment', imageSlot(n), [slot(perImage)], kind, size, pixels, 0],
          ['moment', slot(s), [slot(overall)], kind, size, pixels, 1],
          ...(i === 0 ? ([['stats', slot(ofSlots), [imageSlot(n)], 1]] as const) : []),
          ['moment', slot(b), [slot(ofSlots)], kind, size, 1, 1],
        ]);
        const contents = stage.contents();
        const x = stage.tensors[1]!;
        forElements(x, images, (_i, _r, _c, _k, at) => {
          contents[at] = contents[at]! * (mean ? 0.1 : 1) + mean;
        });
        const sums = [perImage, overall, ofSlots].map((at) => [at, 3 * stage.period] as const);
        stage.compare(
          variant,
          (writer) => stage.writeSweep(writer, [{ tile, epilogue }]),
          // Sums about a first pixel that lies far out lose a digit.
          1e-4,
          contents,
          sums,
        );
      },
      60,
    );
  });

  it('the variance of numbers near 1000 has five digits', () => {
    const shape: Shape = { channels: 5, image: [14, 14], images: 2, tilePixels: 49, seed: 1 };
    const stage = new Stage(variant, shape, [0, 0]);
    const x = stage.tensors[0]!;
    const [sums, variance] = [stage.slot(3), stage.slot(1)];
    const contents = stage.contents();
    const values: number[][] = [[], [], [], [], []];
    forElements(x, 2, (_i, _r, _c, k, at) => {
      contents[at] = 1000 + 0.1 * contents[at]!;
      values[k]!.push(contents[at]!);
    });
    const got = stage.scene.run(variant, contents, (writer) =>
      stage.writeSweep(writer, [
        {
          tile: [['stats', slot(sums), [tensor(0)], 1]],
          epilogue: [['moment', slot(variance), [slot(sums)], 2, 1, 196, 1]],
        },
      ]),
    );
    for (const [k, all] of values.entries()) {
      const mean = all.reduce((a, b) => a + b, 0) / all.length;
      const want = all.reduce((a, b) => a + (b - mean) ** 2, 0) / all.length;
      expect(got[variance + k]! / want).toBeCloseTo(1, 5);
      expect(got[variance + k + shape.channels]).toBe(got[variance + k]);
    }
  });

  it('spread and gather', () => {
    check(
      shapes,
      (shape) => {
        const stage = new Stage(variant, shape, [0, 0]);
        const [from, to] = [stage.block(shape.channels), stage.block(shape.channels)];
        const [spread, s] = [stage.slot(1), stage.slot(1)];
        const lines: Line[] = [
          ['spread', slot(spread), [slot(from)]],
          ['gather', slot(to), [slot(s)]],
        ];
        stage.compare(variant, (writer) => stage.writeSmall(writer, lines), 0);
        stage.compare(variant, (writer) => stage.writeSweep(writer, [{ prelude: lines }]), 0);
      },
      10,
    );
  });

  it('several passes see what earlier ones left in slots', () => {
    check(
      shapes,
      (shape) => {
        const stage = new Stage(variant, shape, [1, 1]);
        const [sum, mean] = [stage.slot(1), stage.slot(1)];
        const load: Line = ['copy', register(0), [tensor(0)]];
        const passes: Pass[] = [
          {
            tile: [load, ['sum', slot(sum), [register(0)], 0]],
            epilogue: [['fold', slot(mean), [slot(sum)], 0, 1]],
          },
          { tile: [load, ['sub', tensor(3), [register(0), slot(mean)]]] },
        ];
        const write = (writer: ProgramWriter) => stage.writeSweep(writer, passes);
        stage.compare(variant, write, 1e-4, stage.contents(), [[sum, stage.period]]);
      },
      20,
    );
  });
});
