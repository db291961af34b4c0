import { ProgramWriter } from '../../src/eval/native/encode.ts';
import { ELEMENTWISE_RECORDS, type RecordName } from '../../src/eval/native/isa.ts';
import { lanesOf, type Variant } from '../../src/eval/native/machine.ts';
import { Layout, secondsOf } from '../arena.ts';
import type { Bench, Group } from '../context.ts';
import type { Contender } from '../measure.ts';
import type { Results } from '../results.ts';
import { figure, missingContenders, table } from '../table.ts';

const ROUNDS = { full: 15, quick: 3 };
const CHANNELS = [16, 24, 64] as const;
const REDUCTIONS: readonly RecordName[] = ['sum', 'dot', 'stats'];
/** A tile that stays in the first-level cache with its registers, many times over. */
const TILE = { floats: 1024, tiles: 16, copies: 20, registers: 4 };

/** What layers are made of. */
export const records: Group = {
  name: 'records',
  doc: 'the records of layer programs, in picoseconds per element, from tile registers and with slots as b and c',
  run,
  report,
};

const nameOf = (channels: number, slots: boolean) =>
  `${channels} channels${slots ? ', slots' : ''}`;

async function run(bench: Bench, results: Results): Promise<void> {
  const rounds = bench.settings.quick ? ROUNDS.quick : ROUNDS.full;
  for (const code of [...ELEMENTWISE_RECORDS, ...REDUCTIONS]) {
    if (!bench.wants(code)) continue;
    const contenders = CHANNELS.flatMap((channels) =>
      [false, true].map((slots) => contender(bench.variant, code, channels, slots)),
    );
    await bench.measure(results, code, contenders, { rounds });
  }
}

/** One record again and again, as the tile part of a sweep over one image. */
function contender(
  variant: Variant,
  code: RecordName,
  channels: number,
  slots: boolean,
): Contender {
  const layout = new Layout(1);
  const period = leastCommonMultiple(channels, lanesOf(variant));
  const pixels = Math.floor(TILE.floats / channels);
  const perRegister = Math.ceil((pixels * channels) / period) * period;
  const registers = layout.allocate(TILE.registers * perRegister);
  // `stats` writes three periods.
  const slot = layout.allocate(3 * period);
  const machine = layout.machine(variant);
  const writer = new ProgramWriter();
  writer.begin('sweep');
  const shape = [1, pixels * TILE.tiles, channels, period, pixels];
  for (const word of [...shape, TILE.registers, perRegister, registers, 0, 1]) writer.word(word);
  for (const count of [0, TILE.copies, 0]) writer.word(count);
  const register = (at: number) => ({ kind: 'register', at }) as const;
  const inSlot = { kind: 'slot', at: slot } as const;
  const args = [register(0), slots ? inSlot : register(1), slots ? inSlot : register(2)];
  const dst = REDUCTIONS.includes(code) ? inSlot : register(3);
  for (let k = 0; k < TILE.copies; k++) writer.record(code, dst, args);
  writer.end();
  const seconds = secondsOf(writer.finish(0), machine, 1);
  const elements = TILE.copies * TILE.tiles * pixels * channels;
  const sample = () => (1e12 * seconds()) / elements;
  return { name: nameOf(channels, slots), unit: 'ps per element', sample };
}

function leastCommonMultiple(a: number, b: number): number {
  let [x, y] = [a, b];
  while (y > 0) [x, y] = [y, x % y];
  return (a / x) * b;
}

function report(results: Results): string {
  const columns = CHANNELS.flatMap((c) => [nameOf(c, false), nameOf(c, true)]);
  const rows = results.cases.map((name) => [
    name,
    ...columns.map((column) => figure(results.median(name, column))),
  ]);
  return [table(['ps per element', ...columns], rows), ...missingContenders(results)].join('\n');
}
