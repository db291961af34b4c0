/**
 * How near the kernels come to the core's peak: `npx tsx bench/kernels.ts [conv|records] [variant …]`.
 * Convolutions as a share of the peak of multiply-adds measured in the same run, records in nanoseconds per
 * element. Each figure is the fastest of several rounds, and the cases of a round alternate.
 */
import { ProgramWriter, type Tensor, tensorFloats } from '../src/eval/native/encode.ts';
import { ELEMENTWISE_RECORDS, type RecordName, SLACK } from '../src/eval/native/isa.ts';
import { exercise, lanesOf, Machine, type Variant, variants } from '../src/eval/native/machine.ts';

const ROUNDS = 60;
const SECONDS = 0.001;

interface Case {
  readonly name: string;
  readonly column: string;
  /** What one run does, in units of the report. */
  readonly work: number;
  readonly run: () => void;
}

/** Seconds per run: the fastest of all rounds. */
function time(cases: readonly Case[]): number[] {
  const best = cases.map(() => Infinity);
  const repeats = cases.map(({ run }) => {
    run();
    const start = performance.now();
    run();
    return Math.max(1, Math.ceil((SECONDS * 1000) / (performance.now() - start)));
  });
  for (let round = 0; round < ROUNDS; round++)
    for (const [i, { run }] of cases.entries()) {
      const start = performance.now();
      for (let k = 0; k < repeats[i]!; k++) run();
      best[i] = Math.min(best[i]!, (performance.now() - start) / 1000 / repeats[i]!);
    }
  return best;
}

/** Hands out an arena, 16 floats at a time. */
class Layout {
  floats = 0;

  take(count: number): number {
    const at = this.floats;
    this.floats += Math.ceil((count + SLACK) / 16) * 16;
    return at;
  }

  tensor(images: number, size: number, channels: number, halo: number): Tensor {
    const shape = { height: size, width: size, channels, halo };
    return { ...shape, offset: this.take(tensorFloats(shape, images)) };
  }
}

type Shape = readonly [
  from: number,
  to: number,
  size: number,
  batch: number,
  kernel: number,
  stride: number,
];

const SHAPES: readonly Shape[] = [
  [8, 8, 14, 32, 3, 1],
  [16, 16, 16, 64, 3, 1],
  [16, 16, 24, 128, 3, 1],
  [16, 16, 14, 32, 3, 1],
  [24, 24, 14, 32, 3, 1],
  [32, 32, 8, 64, 3, 1],
  [32, 32, 12, 128, 3, 1],
  [32, 32, 7, 32, 3, 1],
  [64, 64, 6, 128, 3, 1],
  [64, 64, 8, 64, 3, 1],
  [64, 64, 4, 64, 3, 1],
  [16, 16, 16, 64, 1, 1],
  [16, 16, 16, 6, 1, 1],
  [16, 64, 16, 6, 1, 1],
  [64, 16, 16, 6, 1, 1],
  [16, 64, 16, 64, 1, 1],
  [64, 16, 16, 64, 1, 1],
  [32, 128, 8, 64, 1, 1],
  [128, 32, 8, 64, 1, 1],
  [16, 32, 16, 64, 3, 2],
  [32, 64, 8, 64, 3, 2],
  [16, 32, 16, 64, 1, 2],
  [1, 8, 14, 32, 3, 1],
  [1, 16, 14, 32, 3, 1],
  [3, 16, 16, 64, 3, 1],
  [12, 12, 14, 32, 3, 1],
];

function convolutions(variant: Variant, [from, to, size, batch, kernel, stride]: Shape): Case[] {
  const layout = new Layout();
  const halo = (kernel - 1) / 2;
  const out = Math.ceil(size / stride);
  const x = layout.tensor(batch, size, from, halo);
  const y = layout.tensor(batch, out, to, halo);
  const weights = layout.take(kernel * kernel * from * to);
  const machine = new Machine(variant, layout.floats, batch);
  const arena = new Float32Array(machine.arena);
  for (let i = 0; i < layout.floats; i++) arena[i] = ((i * 37) % 101) / 100 - 0.5;
  const name = `${kernel}×${kernel}${stride > 1 ? ' /2' : ''} ${from}→${to}, ${size}×${size}, batch ${batch}`;
  const work = batch * out * out * kernel * kernel * from * to;
  const instruction = (column: string, write: (writer: ProgramWriter) => void): Case => {
    const writer = new ProgramWriter();
    write(writer);
    const program = machine.prepare(writer.finish(0));
    return { name, column, work, run: () => machine.run(program, batch) };
  };
  const dw = weights;
  return [
    instruction('forward', (w) => w.instruction('conv', x, weights, y, kernel, stride, 0, y)),
    instruction('input', (w) =>
      w.instruction('convInputGradient', y, weights, x, kernel, stride, 0),
    ),
    instruction('weights', (w) => w.instruction('convWeightGradient', x, y, dw, kernel, stride)),
  ];
}

function peakCase(variant: Variant): Case {
  const iterations = 10_000;
  const run = () => void exercise(variant, iterations);
  return { name: 'peak', column: 'peak', work: exercise(variant, iterations), run };
}

function reportConvolutions(variant: Variant): void {
  const peak = peakCase(variant);
  console.log(`\n${variant}: convolutions`);
  for (const shape of SHAPES) {
    const cases = [peak, ...convolutions(variant, shape)];
    const rates = time(cases).map((seconds, i) => cases[i]!.work / seconds);
    const share = (i: number) => `${((100 * rates[i]!) / rates[0]!).toFixed(0)} %`.padStart(6);
    console.log(
      `  ${cases[1]!.name.padEnd(34)} forward${share(1)}  input${share(2)}  weights${share(3)}   (peak ${((2 * rates[0]!) / 1e9).toFixed(0)} GFLOP/s)`,
    );
  }
}

/** Records over an image of 64 kB in tiles of 4 kB, between registers; `slot` reads b and c from slots. */
function recordCase(
  variant: Variant,
  code: RecordName,
  channels: number,
  slots: boolean,
  reduces: boolean,
): Case {
  const layout = new Layout();
  const lanes = lanesOf(variant);
  const period = lcm(channels, lanes);
  const pixels = Math.floor(1024 / channels);
  const tiles = 16;
  const t = layout.take(0);
  const registers = layout.take(4 * 1056);
  const slot = layout.take(4 * period);
  const machine = new Machine(variant, layout.floats, 1);
  const arena = new Float32Array(machine.arena);
  for (let i = 0; i < layout.floats; i++) arena[i] = ((i * 37) % 101) / 25 - 2;
  const writer = new ProgramWriter();
  writer.begin('sweep');
  for (const word of [1, pixels * tiles, channels, period, pixels, 4, 1056, registers, 0, 1])
    writer.word(word);
  const copies = 20;
  for (const count of [0, copies, 0]) writer.word(count);
  const register = (at: number) => ({ kind: 'register', at }) as const;
  const inSlot = { kind: 'slot', at: slot } as const;
  const args = [register(0), slots ? inSlot : register(1), slots ? inSlot : register(2)];
  for (let k = 0; k < copies; k++) writer.record(code, reduces ? inSlot : register(3), args);
  writer.end();
  const program = machine.prepare(writer.finish(0));
  return {
    name: code,
    column: `${channels}${slots ? ' slots' : ''}`,
    work: copies * tiles * pixels * channels + t,
    run: () => machine.run(program, 1),
  };
}

const gcd = (a: number, b: number): number => (b === 0 ? a : gcd(b, a % b));
const lcm = (a: number, b: number): number => (a * b) / gcd(a, b);

function reportRecords(variant: Variant): void {
  console.log(`\n${variant}: records, picoseconds per element`);
  const codes: RecordName[] = [...ELEMENTWISE_RECORDS, 'sum', 'dot', 'stats'];
  for (const code of codes) {
    const reduces = ['sum', 'dot', 'stats'].includes(code);
    const cases = [16, 24, 32, 64].flatMap((channels) =>
      [false, true].map((slots) => recordCase(variant, code, channels, slots, reduces)),
    );
    const times = time(cases).map(
      (seconds, i) =>
        `${cases[i]!.column} ${((1e12 * seconds) / cases[i]!.work).toFixed(0).padStart(4)}`,
    );
    console.log(`  ${code.padEnd(11)} ${times.join('   ')}`);
  }
}

const [what = 'all', ...wanted] = process.argv.slice(2);
for (const variant of wanted.length > 0 ? (wanted as Variant[]) : variants()) {
  if (what !== 'records') reportConvolutions(variant);
  if (what !== 'conv') reportRecords(variant);
}
