import {
  INSTRUCTIONS,
  OPERAND_KINDS,
  RECORD_WORDS,
  RECORDS,
} from '../../../src/eval/native/isa.ts';
import { EPSILON, elementwise, guard, isElementwise, rootEps } from '../../../src/graph/ops.ts';
import type { Backend } from './compare.ts';

/**
 * A plain fp64 reading of `sweep` and `small`, pixel by pixel: what isa.ts says, without a thought for speed.
 * Oracle for the machine and for the layer compiler.
 */
export function simulate(
  program: Int32Array,
  arena: Float64Array | Float32Array,
  images: number,
): void {
  for (let at = 0; at < program.length; at += program[at + 1]!) {
    const name = INSTRUCTIONS[program[at]!];
    const fields = program.subarray(at + 2, at + program[at + 1]!);
    if (name === 'small') simulateSmall(fields, arena, images);
    else if (name === 'sweep') simulateSweep(fields, arena, images);
    else throw new Error(`the simulator has no ${name}`);
  }
}

/** The simulator as something to compile for: four lanes. */
export const simulated: Backend = {
  lanes: 4,
  machine: (floats) => ({
    arena: new Float64Array(floats),
    run: (program, arena, images) => simulate(program, arena, images),
  }),
};

interface Context {
  readonly arena: Float64Array | Float32Array;
  readonly images: number;
  readonly image: number;
  readonly channels: number;
  readonly period: number;
  /** First of its scope, by scope code. */
  readonly first: readonly [boolean, boolean];
  /** Number of elements, and where element i of an operand stands. */
  readonly length: number;
  /** Elements that a reduction runs over: those of the tile, or the one channel vector that a slot is. */
  readonly reduced: number;
  readonly address: (kind: string, at: number, i: number) => number;
}

function simulateSmall(
  fields: Int32Array,
  arena: Float64Array | Float32Array,
  images: number,
): void {
  const [channels, period, count] = fields as unknown as [number, number, number];
  const records = fields.subarray(3, 3 + count * RECORD_WORDS);
  runRecords(records, slotContext({ arena, images, image: 0, channels, period }, [true, true]));
}

const slotContext = (
  base: Pick<Context, 'arena' | 'images' | 'image' | 'channels' | 'period'>,
  first: Context['first'],
): Context => ({
  ...base,
  first,
  length: base.period,
  reduced: base.channels,
  address: (kind, at, i) => (kind === 'imageSlot' ? at + base.image * base.period : at) + i,
});

function simulateSweep(
  fields: Int32Array,
  arena: Float64Array | Float32Array,
  images: number,
): void {
  const [height, width, channels, period, tilePixels, , registerFloats, registerBase, tensorCount] =
    fields as unknown as number[] as [
      number,
      number,
      number,
      number,
      number,
      number,
      number,
      number,
      number,
    ];
  const tensors = Array.from({ length: tensorCount }, (_, t) =>
    fields.subarray(9 + 5 * t, 14 + 5 * t),
  );
  const passCount = fields[9 + 5 * tensorCount]!;
  for (let image = 0; image < images; image++) {
    let at = 10 + 5 * tensorCount;
    for (let pass = 0; pass < passCount; pass++) {
      const counts = [fields[at]!, fields[at + 1]!, fields[at + 2]!] as const;
      at += 3;
      const [prelude, tile, epilogue] = counts.map((count) => {
        const words = fields.subarray(at, at + count * RECORD_WORDS);
        at += count * RECORD_WORDS;
        return words;
      }) as [Int32Array, Int32Array, Int32Array];
      const base = { arena, images, image, channels, period };
      runRecords(prelude, slotContext(base, [true, image === 0]));
      for (let start = 0; start < height * width; start += tilePixels) {
        const pixels = Math.min(tilePixels, height * width - start);
        const address = (kind: string, offset: number, i: number): number => {
          if (kind === 'register') return registerBase + offset * registerFloats + i;
          if (kind === 'imageSlot') return offset + image * period + (i % period);
          if (kind === 'slot') return offset + (i % period);
          const [origin, h, w, c, halo] = tensors[offset] as unknown as number[] as [
            number,
            number,
            number,
            number,
            number,
          ];
          const pixel = start + Math.floor(i / channels);
          const row = image * (h + 2 * halo) + Math.floor(pixel / w) + halo;
          return origin + (row * (w + 2 * halo) + (pixel % w) + halo) * c + (i % channels);
        };
        const first = [start === 0, start === 0 && image === 0] as const;
        runRecords(tile, {
          ...base,
          first,
          length: pixels * channels,
          reduced: pixels * channels,
          address,
        });
      }
      runRecords(epilogue, slotContext(base, [true, image === 0]));
    }
  }
}

function runRecords(records: Int32Array, context: Context): void {
  for (let at = 0; at < records.length; at += RECORD_WORDS)
    runRecord(records.subarray(at, at + RECORD_WORDS), context);
}

function runRecord(words: Int32Array, context: Context): void {
  const { arena, channels, period, length, reduced, address, first, images } = context;
  const code = RECORDS[words[0]!]!;
  const operand = (k: number) => {
    const [kind, at] = [OPERAND_KINDS[words[k]!]!, words[k + 1]!];
    return (i: number) => address(kind, at, i);
  };
  const [dst, a, b, c] = [operand(1), operand(3), operand(5), operand(7)];
  const [p0, p1, p2] = [words[9]!, words[10]!, words[11]!];
  const base = words[2]!;
  switch (code) {
    case 'sum':
    case 'dot': {
      if (first[p0 as 0 | 1]) arena.fill(0, base, base + period);
      for (let i = 0; i < reduced; i++)
        arena[base + (i % channels)]! += arena[a(i)]! * (code === 'dot' ? arena[b(i)]! : 1);
      return;
    }
    case 'stats': {
      if (first[p0 as 0 | 1]) {
        arena.fill(0, base, base + 3 * period);
        for (let k = 0; k < channels; k++) arena[base + k] = arena[a(k)]!;
      }
      for (let i = 0; i < reduced; i++) {
        const off = arena[a(i)]! - arena[base + (i % channels)]!;
        arena[base + period + (i % channels)]! += off;
        arena[base + 2 * period + (i % channels)]! += off * off;
      }
      return;
    }
    case 'moment': {
      const count = p2 * (words[8] === 1 ? images : 1);
      const source = words[4]!;
      for (let start = 0; start < channels; start += p1) {
        let [mean, square] = [0, 0];
        for (let k = start; k < start + p1; k++) {
          const m = arena[source + k]! + arena[source + period + k]! / count;
          const spread = arena[source + period + k]! / count;
          mean += m / p1;
          square += (arena[source + 2 * period + k]! / count - spread * spread + m * m) / p1;
        }
        const value = [mean, square, square - mean * mean][p0]!;
        for (let i = 0; i < period; i++)
          if (i % channels >= start && i % channels < start + p1) arena[dst(i)] = value;
      }
      return;
    }
    case 'fold': {
      const source = words[4]!;
      for (let start = 0; start < channels; start += p1) {
        let sum = 0;
        for (let k = start; k < start + p1; k++) sum += arena[source + k]!;
        for (let i = 0; i < period; i++)
          if (i % channels >= start && i % channels < start + p1) arena[dst(i)] = sum;
      }
      return;
    }
    case 'spread':
      for (let i = 0; i < period; i++) arena[dst(i)] = arena[words[4]! + (i % channels)]!;
      return;
    case 'gather':
      for (let i = 0; i < channels; i++) arena[base + i] = arena[a(i)]!;
      return;
    default: {
      const value = (i: number): number => {
        const [va, vb, vc] = [arena[a(i)]!, arena[b(i)]!, arena[c(i)]!];
        // |a| + ε is rounded too, which log feels near 1.
        if (code === 'log' && arena instanceof Float32Array)
          return Math.sign(va) * Math.log(Math.fround(Math.abs(va) + EPSILON));
        if (isElementwise(code)) return elementwise[code].value(va, vb);
        if (code === 'sub') return va - vb;
        if (code === 'fma') return va * vb + vc;
        if (code === 'fnma') return vc - va * vb;
        if (code === 'fms') return va * vb - vc;
        if (code === 'complement') return va * (1 - vb);
        if (code === 'tanhGradient') return va * (1 - vb * vb);
        if (code === 'gate') return va * elementwise.step.value(vb, vc);
        if (code === 'reciprocal') return 1 / guard(va);
        if (code === 'rootEps') return rootEps(va);
        return va;
      };
      for (let i = 0; i < length; i++) arena[dst(i)] = value(i);
    }
  }
}
