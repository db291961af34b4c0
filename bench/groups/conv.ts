import { ProgramWriter } from '../../src/eval/native/encode.ts';
import type { Machine } from '../../src/eval/native/machine.ts';
import { type NetworkOp, tensorShapes } from '../../src/eval/network.ts';
import { Layout, secondsOf } from '../arena.ts';
import { NETWORKS } from '../cases.ts';
import type { Bench, Group } from '../context.ts';
import type { Contender } from '../measure.ts';
import { peakOf } from '../peak.ts';
import type { Results } from '../results.ts';
import { figure, type Goal, goals, missingContenders, percent, table } from '../table.ts';

const ROUNDS = { full: 15, quick: 3 };
const FORWARD = 'forward';
const INPUT = 'input gradient';
const WEIGHTS = 'weight gradient';
const PASSES = [FORWARD, INPUT, WEIGHTS] as const;
const PEAK = 'peak';
const COPY = 'copy';

/** Convolutions by themselves. */
export const conv: Group = {
  name: 'conv',
  doc: 'convolutions as a share of the peak of multiply-adds, depthwise ones of the bandwidth of a copy',
  run,
  report,
};

interface Shape {
  readonly kind: 'conv' | 'depthwise';
  readonly kernel: number;
  readonly stride: number;
  readonly from: number;
  readonly to: number;
  /** Side of the input images. */
  readonly side: number;
  readonly batch: number;
}

type ShapeRow = readonly [
  kernel: number,
  stride: number,
  from: number,
  to: number,
  side: number,
  batch: number,
];

/** Those that prototypes were measured with. */
const PROTOTYPES: readonly ShapeRow[] = [
  [3, 1, 16, 16, 16, 64],
  [3, 1, 16, 16, 24, 128],
  [3, 1, 32, 32, 8, 64],
  [3, 1, 32, 32, 12, 128],
  [3, 1, 64, 64, 6, 128],
  [3, 1, 64, 64, 4, 64],
  [3, 1, 8, 8, 12, 32],
  [1, 1, 16, 16, 16, 64],
  [1, 1, 16, 64, 16, 64],
  [1, 1, 64, 16, 16, 64],
  [1, 1, 32, 128, 8, 64],
  [1, 1, 128, 32, 8, 64],
  [3, 2, 16, 32, 16, 64],
  [3, 2, 32, 64, 8, 64],
];

const nameOf = ({ kind, kernel, stride, from, to, side, batch }: Shape): string =>
  `${kind === 'conv' ? '' : 'depthwise '}${kernel}×${kernel}${stride > 1 ? ` /${stride}` : ''} ` +
  `${from}→${to}, ${side}×${side}, batch ${batch}`;

const outOf = ({ side, stride }: Shape): number => Math.ceil(side / stride);

/** Floats that a convolution of one image reads and writes. */
const floatsOf = (shape: Shape): number =>
  shape.side ** 2 * shape.from + outOf(shape) ** 2 * shape.to;

/** Multiply-adds of a depthwise convolution of one image whose input pixel is in the image. */
function productsInside(shape: Shape): number {
  const { kernel, stride, side, from } = shape;
  const first = (out: number) => out * stride - (kernel - 1) / 2;
  let along = 0;
  for (let out = 0; out < outOf(shape); out++)
    along += Math.min(side, first(out) + kernel) - Math.max(0, first(out));
  return along ** 2 * from;
}

/** Every convolution of the networks and of the prototypes, by name. */
function allShapes(): Map<string, Shape> {
  const prototypes = PROTOTYPES.map(
    ([kernel, stride, from, to, side, batch]): Shape => ({
      ...{ kind: 'conv', kernel, stride, from, to, side, batch },
    }),
  );
  const used = NETWORKS.flatMap(({ network, batch }) => {
    const shapes = tensorShapes(network);
    return network.ops.flatMap((op: NetworkOp, i): Shape[] => {
      if (op.op !== 'conv' && op.op !== 'depthwise') return [];
      const { height, channels } = shapes[op.input]!;
      const { op: kind, kernel, stride } = op;
      const to = shapes[i + 1]!.channels;
      return [{ kind, kernel, stride, from: channels, to, side: height, batch }];
    });
  });
  return new Map([...prototypes, ...used].map((shape) => [nameOf(shape), shape]));
}

async function run(bench: Bench, results: Results): Promise<void> {
  const rounds = bench.settings.quick ? ROUNDS.quick : ROUNDS.full;
  for (const [name, shape] of allShapes()) {
    if (!bench.wants(name)) continue;
    const { machine, contenders } = contendersOf(shape, bench);
    await bench.measure(results, name, contenders, { rounds });
    machine.close();
  }
}

type Write = (writer: ProgramWriter) => void;

function contendersOf(shape: Shape, bench: Bench): { machine: Machine; contenders: Contender[] } {
  const { kind, kernel, stride, from, to, side, batch } = shape;
  const halo = (kernel - 1) / 2;
  const out = outOf(shape);
  const layout = new Layout(batch);
  const x = layout.tensor({ height: side, width: side, channels: from }, halo);
  const y = layout.tensor({ height: out, width: out, channels: to }, halo);
  const weights = layout.allocate(kernel ** 2 * from * to);
  const gradient = layout.allocate(kernel ** 2 * from * to);
  // As much as an operation reads and writes, from one half of it to the other.
  const floats = floatsOf(shape);
  const [half, otherHalf] = [0, 1].map(() =>
    layout.tensor({ height: 1, width: 1, channels: Math.ceil(floats / 2) }, 0),
  );
  const machine = layout.machine(bench.variant);
  const rate = (name: string, work: number, unit: string, write: Write) => {
    const writer = new ProgramWriter();
    write(writer);
    const seconds = secondsOf(writer.finish(0), machine, batch);
    return { name, unit, sample: () => (batch * work) / seconds() / 1e9 };
  };
  const peak = peakOf(bench.variant);
  const peakContender = { name: PEAK, unit: 'GFLOP/s', sample: () => (2 * peak()) / 1e9 };
  if (kind === 'depthwise') {
    const bytes = 4 * floats;
    const pass = (name: string, write: Write) => rate(name, bytes, 'GB/s', write);
    return {
      machine,
      contenders: [
        pass(FORWARD, (w) => w.instruction('depthwise', x, weights, y, kernel, stride)),
        pass(INPUT, (w) =>
          w.instruction('depthwiseInputGradient', y, weights, x, kernel, stride, 0),
        ),
        pass(WEIGHTS, (w) =>
          w.instruction('depthwiseWeightGradient', x, y, gradient, kernel, stride),
        ),
        pass(COPY, (w) => w.instruction('copy', half!, otherHalf!)),
        peakContender,
      ],
    };
  }
  const flops = 2 * out * out * to * from * kernel ** 2;
  const pass = (name: string, write: Write) => rate(name, flops, 'GFLOP/s', write);
  return {
    machine,
    contenders: [
      pass(FORWARD, (w) => w.instruction('conv', x, weights, y, kernel, stride, 0, y)),
      pass(INPUT, (w) => w.instruction('convInputGradient', y, weights, x, kernel, stride, 0)),
      pass(WEIGHTS, (w) => w.instruction('convWeightGradient', x, y, gradient, kernel, stride)),
      peakContender,
    ],
  };
}

/** Of what the machine can do: multiply-adds at peak, or for depthwise convolutions a copy. */
const shareOf = (results: Results, name: string, pass: string): number =>
  results.median(name, pass) / results.median(name, isDepthwise(name) ? COPY : PEAK);

/** Of the time that a depthwise convolution takes at least: that of a copy or of its multiply-adds at peak, whichever is longer. */
function rooflineShareOf(results: Results, name: string, pass: string, shape: Shape): number {
  const copied = 4 * floatsOf(shape);
  const multiplied = (2 * productsInside(shape)) / results.median(name, PEAK);
  const seconds = Math.max(copied / results.median(name, COPY), multiplied);
  return (seconds * results.median(name, pass)) / copied;
}

const isDepthwise = (name: string): boolean => name.startsWith('depthwise');

function report(results: Results): string {
  const shapes = allShapes();
  const part = (
    names: readonly string[],
    share: string,
    limits: readonly string[],
    cell: (name: string, pass: string) => string,
  ) =>
    names.length === 0
      ? []
      : [
          table(
            [`share of ${share}`, ...PASSES, ...limits],
            names.map((name) => [
              name,
              ...PASSES.map((pass) => cell(name, pass)),
              ...limits.map((limit) => figure(results.median(name, limit.split(',')[0]!))),
            ]),
          ),
        ];
  const show = (name: string, pass: string) => percent(shareOf(results, name, pass));
  return [
    ...part(
      results.cases.filter((name) => !isDepthwise(name)),
      PEAK,
      [`${PEAK}, GFLOP/s`],
      show,
    ),
    ...part(
      results.cases.filter(isDepthwise),
      `${COPY} / of roofline`,
      [`${COPY}, GB/s`, `${PEAK}, GFLOP/s`],
      (name, pass) =>
        `${show(name, pass)} / ${percent(rooflineShareOf(results, name, pass, shapes.get(name)!))}`,
    ),
    goals(goalsOf(results)),
    ...missingContenders(results),
  ].join('\n');
}

/** The least share of every kind of shape that there is a goal for. */
function goalsOf(results: Results): Goal[] {
  const shapes = [...allShapes()];
  const goal = (
    what: string,
    passes: readonly string[],
    wanted: number,
    belongs: (shape: Shape) => boolean,
    share: typeof rooflineShareOf = shareOf,
  ): Goal => {
    const shares = shapes
      .filter(([, shape]) => belongs(shape))
      .flatMap(([name, shape]) => passes.map((pass) => share(results, name, pass, shape)))
      .filter(Number.isFinite);
    const measured = shares.length ? Math.min(...shares) : Number.NaN;
    return { what: `${what}: least`, measured, wanted: ['≥', wanted], show: percent };
  };
  const dense = ({ kind, from, to }: Shape) => kind === 'conv' && Math.min(from, to) >= 16;
  const large = (shape: Shape) =>
    dense(shape) && shape.stride === 1 && shape.side >= 8 && shape.kernel <= 3;
  return [
    goal(
      '16 channels, 8×8 images and more, forward and input gradient',
      [FORWARD, INPUT],
      0.8,
      large,
    ),
    goal('16 channels, 8×8 images and more, weight gradient', [WEIGHTS], 0.75, large),
    goal('4×4 images', PASSES, 0.6, (s) => dense(s) && s.stride === 1 && s.side === 4),
    goal('stride 2', PASSES, 0.6, (s) => dense(s) && s.stride === 2),
    goal('8 channels', PASSES, 0.4, (s) => s.kind === 'conv' && Math.min(s.from, s.to) === 8),
    goal('depthwise', PASSES, 0.5, ({ kind }) => kind === 'depthwise'),
    goal(
      'depthwise, of the roofline',
      PASSES,
      0.5,
      ({ kind }) => kind === 'depthwise',
      rooflineShareOf,
    ),
  ];
}
