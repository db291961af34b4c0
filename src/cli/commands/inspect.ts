import type { Command } from 'commander';
import { UserError } from '../../errors.ts';
import {
  INSPECTION_DEFAULTS,
  type InspectionSettings,
  inspectionShape,
  inspectLayer,
  refuseHuge,
  SIDE,
} from '../../eval/inspect.ts';
import { QUANTILES } from '../../eval/inspect-layer.ts';
import { flag, overridesFromFlags } from '../../eval/presets.ts';
import { quantile } from '../../eval/quantile.ts';
import { validate } from '../../eval/settings.ts';
import { percent } from '../../format.ts';
import type { LayerGraph } from '../../graph/graph.ts';
import { structuralKey } from '../../graph/keys.ts';
import { ZOO } from '../../graph/zoo.ts';
import { factsOf } from '../../reading/layers.ts';
import { candidateId } from '../../search/ids.ts';
import { writeWhole } from '../files.ts';
import { inspectionFigure, MOST_LAYERS } from '../inspection-figure.ts';
import { findLayerIn, readingLayers } from '../layers.ts';
import { addFlags, dbOption, jsonOption } from '../options.ts';
import { note, outColours, print, printJson, table } from '../output.ts';
import { logSketches, short, sketch } from '../sketch.ts';

const FLAGS = {
  depth: flag('--depth <blocks>', ['depth'], 'residual blocks of the network (30)'),
  width: flag('--width <channels>', ['width'], 'channels of its first stage (16)'),
  images: flag('--images <n>', ['images'], 'images in the batch (8)'),
  groups: flag('--groups <n>', ['groups'], 'channel groups of whc/g (8)'),
  seed: flag('--seed <n>', ['seed'], 'seed of weights and images (0)'),
} as const;

const DETAILS = `
The network is a pre-activation ResNet of three stages with He initialisation, in training mode, in double
precision; its images are standard normal noise. Gradients are those of the sum of u * y, where y is the
output of the last layer and u a random vector of length 1 for each image. BN-ReLU stands beside all layers.`;

export const inspectCommand = (program: Command) =>
  addFlags(program.command('inspect'), FLAGS)
    .argument('<layers...>', 'ids, zoo names, formulas or files')
    .option('--svg <file>', 'draw a figure')
    .addOption(dbOption())
    .addOption(jsonOption())
    .addHelpText('after', DETAILS)
    .action(inspect);

type Options = Readonly<Record<string, unknown>> & {
  readonly db: string;
  readonly svg?: string;
  readonly json?: true;
};

const REFERENCE = ZOO.find(({ name }) => name === 'BN-ReLU')!;

async function inspect(texts: readonly string[], options: Options) {
  const given = overridesFromFlags(options, FLAGS);
  const settings = validate(
    inspectionShape,
    { ...INSPECTION_DEFAULTS, ...given },
    'The inspection',
  );
  const subjects = subjectsOf(texts, options.db);
  if (subjects.length > MOST_LAYERS)
    throw new UserError(
      `${texts.length} layers are too many to inspect beside ${REFERENCE.name}; ${MOST_LAYERS - 1} are the most.`,
    );
  for (const { graph } of subjects) refuseHuge(graph, settings);
  const layers = subjects.map(({ graph, ...facts }) => ({
    ...facts,
    ...inspectLayer(graph, settings),
  }));
  if (options.svg !== undefined) {
    const reference = subjects.find(({ isReference }) => isReference)!.layer;
    writeWhole(options.svg, await inspectionFigure(layers, reference));
    note(`Wrote ${options.svg}.`);
  }
  if (options.json) return printJson({ settings, layers });
  describe(layers, settings);
}

interface Subject {
  readonly layer: string;
  readonly formula: string;
  readonly functionalKey: string | null;
  readonly isReference: boolean;
  readonly graph: LayerGraph;
}

/** The named layers, and the one that they are measured against unless it is among them. */
function subjectsOf(texts: readonly string[], db: string): Subject[] {
  const named = readingLayers(texts, db, (store) => texts.map((text) => findLayerIn(store, text)));
  const subjects = named.map((one): Subject => {
    const { formula, zooName, structuralKey: key, functionalKey } = factsOf(one);
    // Graphs of the same function may differ far out: e^x / (1 + e^x) overflows where a sigmoid does not.
    const known = ZOO.find(({ name, layer }) => name === zooName && structuralKey(layer) === key);
    const id = one.candidate && candidateId(one.candidate);
    const isReference = known === REFERENCE;
    return {
      layer: id ?? known?.name ?? formula,
      formula,
      functionalKey,
      isReference,
      graph: one.layer,
    };
  });
  return subjects.some(({ isReference }) => isReference)
    ? subjects
    : [...subjects, ...subjectsOf([REFERENCE.name], db)];
}

type Inspected = Omit<Subject, 'graph'> & ReturnType<typeof inspectLayer>;

function describe(layers: readonly Inspected[], settings: InspectionSettings) {
  const { depth, width, images, seed } = settings;
  print(
    `${outColours.bold('signals')} in a residual network of ${depth} ${depth === 1 ? 'block' : 'blocks'} at initialisation: width ${width}, ${images} ${images === 1 ? 'image' : 'images'} of ${SIDE}×${SIDE}, seed ${seed}`,
  );
  const titled = (title: string) => print(`\n${outColours.bold(title)}`);
  titled('average channel variance of the stream, by block');
  describeSignal(layers, ({ stream }) => stream.variance);
  titled('average squared channel mean of the stream');
  describeSignal(layers, ({ stream }) => stream.squaredMean);
  titled("average channel variance of the layer's output");
  describeSignal(layers, ({ output }) => output.variance);
  titled("average squared channel mean of the layer's output");
  describeSignal(layers, ({ output }) => output.squaredMean);
  titled('gradient norm of the stream');
  describeSignal(layers, ({ gradient }) => gradient);
  for (const layer of layers) describeOverflow(layer);
  titled('output');
  describeOutputs(layers);
  titled(`Jacobian, ${layers[0]!.jacobian.size} × ${layers[0]!.jacobian.size}`);
  describeJacobians(layers);
}

const SKETCH_WIDTH = 60;

function describeSignal(
  layers: readonly Inspected[],
  of: (block: Inspected['blocks'][number]) => number | null,
) {
  const values = layers.map(({ blocks }) => blocks.map(of));
  const reference = values[layers.findIndex(({ isReference }) => isReference)]!;
  const sketches = logSketches(values, reference, SKETCH_WIDTH);
  const rows = layers.map(({ layer }, i) => ({ layer, values: values[i]!, drawn: sketches[i]! }));
  print(
    table(rows, [
      { head: 'layer', value: ({ layer }) => layer, flexible: true },
      { head: 'log scale', value: ({ drawn }) => drawn },
      { head: 'first', value: ({ values }) => short(values[0]!), align: 'right' },
      { head: 'last', value: ({ values }) => short(values.at(-1)!), align: 'right' },
    ]),
  );
}

function describeOverflow({ layer, overflow: { forward, backward } }: Inspected) {
  if (forward !== null)
    print(`${layer}: values leave the range of single precision in block ${forward}.`);
  else if (backward !== null)
    print(`${layer}: gradients leave the range of single precision in block ${backward}.`);
}

function describeOutputs(layers: readonly Inspected[]) {
  const rows = layers.flatMap(({ layer, normal, network }) => [
    { layer, from: 'normal', ...normal },
    { layer, from: `block ${network.block}`, ...network },
  ]);
  type Row = (typeof rows)[number];
  const at = (share: (typeof QUANTILES)[number]) => ({
    head: share === 0.5 ? 'median' : `${100 * share} %`,
    value: ({ output }: Row) => short(output.quantiles[QUANTILES.indexOf(share)] ?? null),
    align: 'right' as const,
  });
  print(
    table(rows, [
      { head: 'layer', value: ({ layer }) => layer, flexible: true },
      { head: 'input', value: ({ from }) => from },
      { head: 'mean', value: ({ output }) => short(output.mean), align: 'right' },
      { head: 'deviation', value: ({ output }) => short(output.deviation), align: 'right' },
      ...[at(0.01), at(0.5), at(0.99)],
      { head: 'zeros', value: ({ output }) => percent(output.zeros), align: 'right' },
      { head: 'histogram, log scale', value: ({ output }) => bars(output.histogram.counts) },
    ]),
  );
}

/** Logarithmic, for many layers put half of their output on one value. */
function bars(counts: readonly number[]): string {
  const logs = counts.map((count) => Math.log1p(count));
  const most = Math.max(...logs);
  return most > 0 ? sketch(logs, 0, most) : '';
}

function describeJacobians(layers: readonly Inspected[]) {
  const at = ({ jacobian: { singularValues } }: Inspected, share: number): string =>
    short(singularValues.length > 0 ? quantile(singularValues, 1 - share) : null);
  print(
    table(layers, [
      { head: 'layer', value: ({ layer }) => layer, flexible: true },
      { head: 'diagonal', value: ({ jacobian }) => short(jacobian.diagonal.mean), align: 'right' },
      {
        ...{ head: 'deviation', align: 'right' },
        value: ({ jacobian }) => short(jacobian.diagonal.deviation),
      },
      { head: 'gain', value: ({ jacobian }) => short(jacobian.gain), align: 'right' },
      ...[0.1, 0.5, 0.9, 1].map((share) => ({
        head: share === 1 ? 'σ max' : share === 0.5 ? 'σ median' : `σ ${100 * share} %`,
        value: (one: Inspected) => at(one, share),
        align: 'right' as const,
      })),
      {
        ...{ head: 'flat', align: 'right' },
        value: ({ jacobian: { flat } }) => (flat === null ? short(null) : percent(flat)),
      },
    ]),
  );
}
