import { compile as compileNetwork } from '../../src/eval/native/compile.ts';
import { lanesOf } from '../../src/eval/native/machine.ts';
import { NETWORKS, type TrainingCase, trainingCase } from '../cases.ts';
import type { Bench, Group } from '../context.ts';
import { KNOWN_LAYERS, TEN_OPS } from '../layers.ts';
import { milliseconds } from '../measure.ts';
import type { Results } from '../results.ts';
import { figure, goals, missingContenders, table } from '../table.ts';

const ROUNDS = { full: 25, quick: 5 };
/** Compilations of each case before any is timed: a search compiles hundreds in the same process. */
const WARM_UP = { full: 40, quick: 20 };
const COMPILE = 'compile';
const OPEN = 'open and close';

/** From a network and a layer as data to programs, and to a session that is ready to train. */
export const compile: Group = {
  name: 'compile',
  doc: 'compiling network and layer, alone and with all that opening a session takes',
  run,
  report,
};

async function run(bench: Bench, results: Results): Promise<void> {
  const { quick } = bench.settings;
  const layers = [...KNOWN_LAYERS.filter(({ general }) => general), TEN_OPS];
  const cases = NETWORKS.flatMap((network) => layers.map((layer) => trainingCase(network, layer)));
  const wanted = cases.filter(({ name }) => bench.wants(name));
  const size = quick ? 'quick' : 'full';
  for (let i = 0; i < WARM_UP[size]; i++)
    for (const training of wanted) compileCase(training, bench);
  for (const training of wanted)
    await bench.measure(results, training.name, contenders(training, bench), {
      rounds: ROUNDS[size],
    });
}

const compileCase = ({ network, layer, setup }: TrainingCase, { variant }: Bench) =>
  compileNetwork(network, layer.layer, setup, lanesOf(variant));

function contenders(training: TrainingCase, bench: Bench) {
  const { network, layer, setup } = training;
  const { engine } = bench;
  const compiling = () => milliseconds(() => compileCase(training, bench));
  const opening = () => milliseconds(() => engine.open(network, layer.layer, setup).close());
  return [
    { name: COMPILE, unit: 'ms', sample: compiling },
    { name: OPEN, unit: 'ms', sample: opening },
  ];
}

function report(results: Results): string {
  const rows = results.cases.map((name) => [
    name,
    ...[COMPILE, OPEN].map((contender) => figure(results.median(name, contender))),
  ]);
  const minis = results.cases
    .filter((name) => name.startsWith('mini-'))
    .map((name) => results.median(name, COMPILE))
    .filter(Number.isFinite);
  const most = minis.length ? Math.max(...minis) : Number.NaN;
  return [
    table(['ms', COMPILE, OPEN], rows),
    goals([{ what: 'minis, the slowest, ms', measured: most, wanted: ['≤', 5], show: figure }]),
    ...missingContenders(results),
  ].join('\n');
}
