import { Arena } from '../../src/eval/native/arena.ts';
import { ProgramWriter, type Tensor, tensorFloats } from '../../src/eval/native/encode.ts';
import { SLACK } from '../../src/eval/native/isa.ts';
import { compileLayer, graphsOf, PlacedLayer, scratchFloats } from '../../src/eval/native/layer.ts';
import { lanesOf, Machine } from '../../src/eval/native/machine.ts';
import { fillNormal, randomStream } from '../../src/eval/random.ts';
import type { LayerShape } from '../../src/graph/extent.ts';
import { formatLayer } from '../../src/graph/text.ts';
import { secondsOf } from '../arena.ts';
import { SETTINGS } from '../cases.ts';
import type { Bench, Group } from '../context.ts';
import { type BenchLayer, KNOWN_LAYERS, TEN_OPS } from '../layers.ts';
import type { Contender } from '../measure.ts';
import type { Results } from '../results.ts';
import { figure, goals, missingContenders, table } from '../table.ts';

const ROUNDS = { full: 15, quick: 3 };
const LAYER = 'forward and backward';
const FORWARD = 'forward';
const ADD = 'adding two arrays';

/** Layers by themselves. */
export const layer: Group = {
  name: 'layer',
  doc: 'layers, beside one pass that adds two arrays of their size',
  run,
  report,
};

const { groups } = SETTINGS;
const SHAPES: readonly LayerShape[] = [
  { batch: 64, height: 16, width: 16, channels: 16, groups },
  { batch: 32, height: 7, width: 7, channels: 16, groups },
  { batch: 128, height: 24, width: 24, channels: 16, groups },
];

async function run(bench: Bench, results: Results): Promise<void> {
  const rounds = bench.settings.quick ? ROUNDS.quick : ROUNDS.full;
  const layers = [TEN_OPS, ...KNOWN_LAYERS, ...(await bench.candidates())];
  for (const shape of bench.settings.quick ? SHAPES.slice(0, 1) : SHAPES)
    for (const layer of layers) {
      const { batch, height, width, channels } = shape;
      const name = `${layer.name}: ${batch}×${height}×${width}×${channels}`;
      if (!bench.wants(name)) continue;
      const { machine, contenders } = contendersOf(layer, shape, bench);
      await bench.measure(results, name, contenders, { rounds });
      machine.close();
    }
  for (const { name, layer } of [TEN_OPS, ...(await bench.candidates())])
    results.notes.push(`${name}: ${formatLayer(layer)}`);
}

const PARAMETERS = ['v0', 'v1', 'gamma', 'beta'] as const;

function contendersOf({ layer }: BenchLayer, shape: LayerShape, { variant }: Bench) {
  const { batch, height, width, channels } = shape;
  const trained = PARAMETERS.filter(
    (name) => !name.startsWith('v') || layer.nodes.some(({ op }) => op === name),
  );
  const compiled = compileLayer(graphsOf(layer), shape, lanesOf(variant), trained);
  const arena = new Arena();
  const tensor = (): Tensor => {
    const t = { height, width, channels, halo: 0 };
    return { ...t, offset: arena.allocate(tensorFloats(t, batch) + SLACK) };
  };
  const [x, y, dy, dx] = [tensor(), tensor(), tensor(), tensor()];
  const parameters = Object.fromEntries(
    trained.map((name) => [
      name,
      { value: arena.allocate(channels), gradient: arena.allocate(channels) },
    ]),
  );
  const constants: { offset: number; value: number; period: number }[] = [];
  const constant = (value: number, period: number) => {
    const offset = arena.allocate(period);
    constants.push({ offset, value, period });
    return offset;
  };
  const scratch = {
    slots: arena.allocate(scratchFloats(compiled)),
    registers: { floats: 0 },
    constant,
  };
  const place = { x, y, dy, dx: { tensor: dx, accumulate: false }, parameters };
  const placed = new PlacedLayer(compiled, place, scratch, arena);
  const [forward, both, add] = [0, 1, 2].map(() => new ProgramWriter());
  placed.forward(forward!);
  placed.forward(both!);
  placed.backward(both!);
  add!.instruction('add', x, dy, y);
  const registers = arena.allocate(scratch.registers.floats);
  const machine = new Machine(variant, arena.size + SLACK, batch);
  const floats = new Float32Array(machine.arena);
  fillNormal(floats, 1, randomStream('bench layer'));
  for (const { offset, value, period } of constants) floats.fill(value, offset, offset + period);
  const elements = batch * height * width * channels;
  const contender = (name: string, writer: ProgramWriter): Contender => {
    const seconds = secondsOf(writer.finish(registers), machine, batch);
    return { name, unit: 'ns per element', sample: () => (1e9 * seconds()) / elements };
  };
  const contenders = [contender(LAYER, both!), contender(FORWARD, forward!), contender(ADD, add!)];
  return { machine, contenders };
}

function report(results: Results): string {
  const rows = results.cases.map((name) => {
    const ns = (contender: string) => results.median(name, contender);
    const passes = ns(LAYER) / ns(ADD);
    return [name, ...[LAYER, FORWARD, ADD].map((c) => figure(ns(c))), figure(passes)];
  });
  const ten = results.cases.find((name) => name.startsWith(`${TEN_OPS.name}:`)) ?? '';
  const ns = results.median(ten, LAYER);
  const passes = ns / results.median(ten, ADD);
  return [
    table(['ns per element', LAYER, FORWARD, ADD, 'passes'], rows),
    goals([
      { what: `${ten}, ns per element`, measured: ns, wanted: ['≤', 3], show: figure },
      {
        what: `${ten}, additions of two arrays`,
        measured: passes,
        wanted: ['≤', 20],
        show: figure,
      },
    ]),
    ...missingContenders(results),
  ].join('\n');
}
