import { ANCHORS } from '../../src/eval/anchors.ts';
import { compile } from '../../src/eval/native/compile.ts';
import { type Handle, lanesOf, Machine, type Variant } from '../../src/eval/native/machine.ts';
import { segments } from '../../src/eval/native/segments.ts';
import { fillNormal, randomStream } from '../../src/eval/random.ts';
import { SETTINGS } from '../cases.ts';
import type { Bench, Group } from '../context.ts';
import { KNOWN_LAYERS } from '../layers.ts';
import { milliseconds } from '../measure.ts';
import type { Results } from '../results.ts';
import { figure, goals, missingContenders, table } from '../table.ts';

const BATCH = 128;
const IMAGE = { height: 32, width: 32, channels: 3 };
const CLASSES = 10;
const ROUNDS = { full: 3, quick: 1 };
const COLD = 'first step';
const WARM = 'later step';

/** A thread can be stopped between two calls of the machine, not within one. */
export const calls: Group = {
  name: 'calls',
  doc: 'the longest call of the machine in a training step of the large anchors, with and without memory to find',
  run,
  report,
};

async function run(bench: Bench, results: Results): Promise<void> {
  const rounds = bench.settings.quick ? ROUNDS.quick : ROUNDS.full;
  for (const anchor of ANCHORS.keys()) {
    if (anchor.startsWith('mini-')) continue;
    const name = `longest call, ${anchor}, 32×32, batch ${BATCH}`;
    if (!bench.wants(name)) continue;
    let step: Step | undefined;
    const cold = () => {
      step?.close();
      step = new Step(anchor, bench.variant);
      return step.longestCall();
    };
    const contenders = [
      { name: COLD, unit: 'ms', sample: cold },
      { name: WARM, unit: 'ms', sample: () => step!.longestCall() },
    ];
    await bench.measure(results, name, contenders, { rounds, warmUp: false });
    step?.close();
  }
}

/** The calls of a training step, on a machine that nothing has run on before. */
class Step {
  readonly #machine: Machine;
  readonly #pieces: readonly { readonly handle: Handle; readonly shares: number }[];

  constructor(anchor: string, variant: Variant) {
    const network = ANCHORS.get(anchor)!.network(IMAGE, CLASSES);
    // With a moment over the batch, so that every instruction has the whole batch.
    const layer = KNOWN_LAYERS.find(({ name }) => name === 'EvoNorm-B0')!.layer;
    const plan = compile(network, layer, { ...SETTINGS, batch: BATCH }, lanesOf(variant));
    const machine = new Machine(variant, plan.floats, BATCH);
    const floats = new Float32Array(machine.arena);
    const { parameters, parameterCount, images } = plan;
    fillNormal(
      floats.subarray(parameters, parameters + parameterCount),
      0.05,
      randomStream('bench calls', 0),
    );
    const pixels = BATCH * IMAGE.height * IMAGE.width * IMAGE.channels;
    fillNormal(floats.subarray(images, images + pixels), 1, randomStream('bench calls', 1));
    for (const { offset, floats: count, value } of [...plan.constants, ...plan.moving])
      floats.fill(value, offset, offset + count);
    this.#machine = machine;
    this.#pieces = [plan.programs.gradient, plan.programs.update].flatMap((program) =>
      segments(program, BATCH).map(({ program: piece, shares }) => ({
        handle: machine.prepare(piece),
        shares,
      })),
    );
  }

  /** Milliseconds. */
  longestCall(): number {
    let longest = 0;
    for (const { handle, shares } of this.#pieces)
      for (let share = 0; share < shares; share++) {
        const call = () => this.#machine.run(handle, BATCH, share, shares);
        longest = Math.max(longest, milliseconds(call));
      }
    return longest;
  }

  close(): void {
    this.#machine.close();
  }
}

function report(results: Results): string {
  const rows = results.cases.map((name) => [
    name,
    ...[COLD, WARM].map((contender) => figure(results.median(name, contender))),
  ]);
  const longest = (contender: string) => {
    const measured = results.cases.map((name) => results.median(name, contender));
    return measured.length ? Math.max(...measured) : Number.NaN;
  };
  const bounds = [COLD, WARM].map((contender) => ({
    what: `longest call of any, ${contender}, ms`,
    ...{ measured: longest(contender), wanted: ['≤', 100] as const, show: figure },
  }));
  return [table(['ms', COLD, WARM], rows), goals(bounds), ...missingContenders(results)].join('\n');
}
