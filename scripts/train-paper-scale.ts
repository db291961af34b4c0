/*
 * Trains known layers in the networks of EvoNorm's search, with its crops and its batch, and keeps the curves of
 * the loss as a study. Goes on where it stopped: curves that the folder has already are not trained again.
 *
 *   npx tsx scripts/train-paper-scale.ts --steps 50 -o docs/studies/paper-scale
 */
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { Command } from 'commander';
import { mean } from 'simple-statistics';
import { makeFolder, writeWhole } from '../src/cli/files.ts';
import { countFrom } from '../src/cli/options.ts';
import { note } from '../src/cli/output.ts';
import { COLOURS, legend, plainPanel } from '../src/cli/study/chart.ts';
import { inMarkdown } from '../src/cli/study/tables.ts';
import { BatchStream } from '../src/eval/batches.ts';
import { type Dataset, loadDataset } from '../src/eval/data.ts';
import { initialParameters } from '../src/eval/initial.ts';
import { nativeEngine } from '../src/eval/native/engine.ts';
import { resolveProtocol } from '../src/eval/presets.ts';
import type { Protocol } from '../src/eval/protocol.ts';
import { trainingNetworks, trainingSetup } from '../src/eval/protocol-networks.ts';
import { learningRateAt } from '../src/eval/schedule.ts';
import { formatLayer } from '../src/graph/text.ts';
import { ZOO } from '../src/graph/zoo.ts';
import { svgOf } from '../src/svg-of.ts';

const RESNET = 'resnet50-quarter';
/** Those that the paper compares with, and the same networks with no normalization in them. */
const NORMALIZING = ['BN-SiLU', 'EvoNorm-B0', 'EvoNorm-S0'];
const BARE = ['ReLU', 'SiLU'];
const LAYERS = [...NORMALIZING, ...BARE];

/** Where the figure cuts losses off. */
const MOST_LOSS = 4;

/** EvoNorm-B0 cannot take the preset's rate from the first step on. */
const GENTLE_RATE = 0.01;

interface Curve {
  readonly network: string;
  readonly layer: string;
  readonly learningRate: number;
  /** Mean cross-entropy of each batch, before its step; ends where it is not finite. */
  readonly losses: readonly number[];
  readonly diverged: boolean;
}

interface Study {
  readonly protocol: Protocol;
  readonly curves: readonly Curve[];
}

const command = new Command('train-paper-scale')
  .option('--steps <n>', 'training steps of each curve', countFrom('--steps', 100_000), 50)
  .requiredOption('-o, --output <folder>', 'where data, report and figure are kept')
  .parse();
const { steps, output } = command.opts<{ steps: number; output: string }>();

const engine = nativeEngine();
const protocol = resolveProtocol(
  'paper-b',
  {
    steps,
    dataset: { name: 'fashion-mnist-full', validation: 5000 },
    augmentation: { pad: 2, crop: 24, flip: true },
  },
  engine.numerics,
);
await conduct();

async function conduct() {
  const file = join(output, 'data.json');
  makeFolder(output);
  let curves = existsSync(file) ? curvesOf(JSON.parse(readFileSync(file, 'utf8'))) : [];
  const dataset = loadDataset(protocol.dataset.name, { pool: protocol.dataset.pool });
  for (const one of wanted()) {
    if (curves.some((curve) => nameOf(curve) === nameOf(one))) continue;
    const curve = train(one, dataset);
    curves = [...curves, curve];
    writeWhole(file, `${JSON.stringify({ protocol, curves } satisfies Study)}\n`);
    note(`${nameOf(curve)}: ${curve.diverged ? 'diverged' : final(curve).toFixed(3)}`);
  }
  const inOrder = wanted().map((one) => curves.find((curve) => nameOf(curve) === nameOf(one))!);
  writeWhole(join(output, 'REPORT.md'), report(inOrder));
  writeWhole(join(output, 'figure.svg'), await figure(inOrder));
}

/** Those of the same protocol; others would not compare. */
function curvesOf(study: Study): readonly Curve[] {
  const same = JSON.stringify(study.protocol) === JSON.stringify(protocol);
  return same ? study.curves : [];
}

type Setting = Omit<Curve, 'losses' | 'diverged'>;

function nameOf({ network, layer, learningRate }: Setting): string {
  return `${layer} in ${network} at ${learningRate}`;
}

function wanted(): Setting[] {
  const { anchors, optimiser } = protocol;
  const all = (networks: readonly string[], layers: readonly string[], learningRate: number) =>
    networks.flatMap((network) => layers.map((layer) => ({ network, layer, learningRate })));
  return [
    ...all(anchors, NORMALIZING, GENTLE_RATE),
    ...all([RESNET], BARE, GENTLE_RATE),
    ...all([RESNET], NORMALIZING, optimiser.learningRate),
  ];
}

function train(setting: Setting, dataset: Dataset): Curve {
  const network = trainingNetworks(protocol, dataset).find(({ name }) => name === setting.network)!;
  const { layer } = ZOO.find(({ name }) => name === setting.layer)!;
  const seed = `paper-scale/${network.name}`;
  const source = { split: dataset.train, image: dataset.image, black: -dataset.mean / dataset.std };
  const batches = new BatchStream(source, protocol.batch, protocol.augmentation, seed);
  const session = engine.open(network, layer, trainingSetup(protocol));
  try {
    session.load(initialParameters(network, layer, seed));
    const losses: number[] = [];
    for (let step = 0; step < steps; step++) {
      const { images, labels } = batches.next();
      const rate = learningRateAt(protocol.schedule, setting.learningRate, step, steps);
      const loss = session.trainStep(images, labels, rate);
      if (!Number.isFinite(loss)) return { ...setting, losses, diverged: true };
      losses.push(Number(loss.toPrecision(6)));
    }
    return { ...setting, losses, diverged: false };
  } finally {
    session.close();
  }
}

/** Mean of the last tenth, which single batches sway less. */
function final({ losses }: Curve): number {
  return mean(losses.slice(-Math.ceil(losses.length / 10)));
}

function report(curves: readonly Curve[]): string {
  const { batch, optimiser, groups, augmentation } = protocol;
  const table = inMarkdown(curves, [
    { head: 'network', value: ({ network }) => network },
    { head: 'learning rate', value: ({ learningRate }) => learningRate, align: 'right' },
    { head: 'layer', value: ({ layer }) => layer },
    { head: 'first loss', value: ({ losses }) => losses[0]?.toFixed(3) ?? '', align: 'right' },
    { head: 'last loss', value: lastOf, align: 'right' },
  ]);
  const formulas = LAYERS.map((name) => {
    const { layer } = ZOO.find((one) => one.name === name)!;
    return `- *${name}*: \`${formatLayer(layer)}\``;
  });
  return `# Known layers at the paper's scale

\`npx tsx scripts/train-paper-scale.ts --steps ${steps}\`. The networks of EvoNorm's search (Liu et al. 2020) under the preset \`paper-b\`: crops of ${augmentation.crop}×${augmentation.crop}, batches of ${batch}, ${groups} groups, Nesterov momentum ${optimiser.momentum}, a constant learning rate, weight decay ${optimiser.weightDecay}; but on ${protocol.dataset.name} (28×28, padded by ${augmentation.pad}) in place of CIFAR-10, and for the first ${steps} steps. One seed. It shows who trains and who does not; it does not rank those that do.

![loss of each batch against the step, one panel for each network](figure.svg)

${table}

The last loss is the mean of the last tenth of the steps; guessing has ln 10 = 2.303. All losses are in [data.json](data.json), with the protocol; numerics ${protocol.numerics}.

${formulas.join('\n')}
`;
}

function lastOf(curve: Curve): string {
  const { diverged, losses } = curve;
  return diverged ? `diverged at step ${losses.length}` : final(curve).toFixed(3);
}

/** A panel for each network at the gentle rate, and one for the ResNet at that of the preset. */
async function figure(curves: readonly Curve[]): Promise<string> {
  const series = LAYERS.map((name, i) => ({ name, label: name, colour: COLOURS[i]! }));
  const panels = [
    ...protocol.anchors.map((network) => ({ network, learningRate: GENTLE_RATE })),
    { network: RESNET, learningRate: protocol.optimiser.learningRate },
  ];
  const marks = panels.map(({ network, learningRate }, panel) => {
    const drawn = curves.filter(
      (curve) => curve.network === network && curve.learningRate === learningRate,
    );
    return plainPanel(
      { x: 70 + panel * 320, y: 50, width: 240, height: 260 },
      `${network}, rate ${learningRate}`,
      drawn.map(({ layer }) => {
        const style = series.find(({ name }) => name === layer)!;
        return { ...style, name: `${panel}-${layer}` };
      }),
      drawn.map(({ losses }) => losses.map((loss, x) => ({ x, value: Math.min(loss, MOST_LOSS) }))),
      { x: { title: 'step' }, y: { title: `loss of the batch, cut off at ${MOST_LOSS}` } },
    );
  });
  return svgOf({ width: 1330, height: 370 + 18 * LAYERS.length }, [
    ...marks,
    ...legend(series, 70, 380),
  ]);
}
