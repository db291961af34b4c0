import { geometricMean } from 'simple-statistics';
import { networkSize } from '../../src/eval/size.ts';
import { formatLayer } from '../../src/graph/text.ts';
import { type BenchNetwork, NETWORKS, trainingCase } from '../cases.ts';
import { COMPILED, EAGER, OURS, openers, stepping, TFJS, tfjsOpeners } from '../contenders.ts';
import type { Bench, Group } from '../context.ts';
import { BARE, BN_RELU, IDENTITY, KNOWN_LAYERS } from '../layers.ts';
import type { Contender } from '../measure.ts';
import { peakOf } from '../peak.ts';
import type { Results } from '../results.ts';
import { figure, type Goal, goals, missingContenders, percent, table, times } from '../table.ts';

const ROUNDS = { full: 9, quick: 3 };
const PEAK = 'peak';

/** A training step: forward, backward and optimiser. */
export const step: Group = {
  name: 'step',
  doc: 'a training step of each network with each layer',
  run,
  report,
};

async function run(bench: Bench, results: Results): Promise<void> {
  const { quick } = bench.settings;
  const layers = [...KNOWN_LAYERS, ...(await bench.candidates())];
  const networks = quick ? NETWORKS.slice(0, -1) : NETWORKS;
  for (const network of networks)
    for (const layer of layers) {
      const training = trainingCase(network, layer);
      if (!bench.wants(training.name)) continue;
      const openings = [...(await openers(training, bench)), ...tfjsOpeners(training, bench)];
      const all = openings.map(stepping);
      const contenders = [...all.map(({ contender }) => contender), atPeak(network, bench)];
      const rounds = quick ? ROUNDS.quick : ROUNDS.full;
      await bench.measure(results, training.name, contenders, { rounds });
      for (const { close } of all) await close();
    }
  results.notes.push(...(await bench.versions()));
  for (const { name, layer } of await bench.candidates())
    results.notes.push(`${name}: ${formatLayer(layer)}`);
}

/** The time that the step's multiply-adds take at the core's peak. */
function atPeak({ network, batch }: BenchNetwork, { variant }: Bench): Contender {
  const peak = peakOf(variant);
  const products = batch * stepProducts(network);
  return { name: PEAK, unit: 'ms', sample: () => (1000 * products) / peak() };
}

/** Forward, weight gradient and input gradient cost the same; the image needs no gradient. */
function stepProducts(network: BenchNetwork['network']): number {
  const { layer } = KNOWN_LAYERS[0]!;
  const first = { ...network, ops: network.ops.slice(0, 1) };
  return 3 * networkSize(network, layer).multiplyAdds - networkSize(first, layer).multiplyAdds;
}

function report(results: Results): string {
  const rows = results.cases.map((name) => {
    const ms = (contender: string) => results.median(name, contender);
    return [
      name,
      ...[OURS, EAGER, COMPILED, ...TFJS, PEAK].map((contender) => figure(ms(contender))),
      times(ms(EAGER) / ms(OURS)),
      times(ms(COMPILED) / ms(OURS)),
      percent(ms(PEAK) / ms(OURS)),
    ];
  });
  const head = ['ms per step', OURS, EAGER, COMPILED, ...TFJS, 'at peak'];
  return [
    table([...head, 'eager ÷ ours', 'compile ÷ ours', 'of peak'], rows),
    goals(goalsOf(results)),
    ...missingContenders(results),
  ].join('\n');
}

const SIZES = ['mini', 'width 16'] as const;
/** By size: against eager, against compiled, and with BN-ReLU against the better of the two. */
const WANTED = { mini: [7, 3, 2.5], 'width 16': [5, 2, 1.5] } as const;

function goalsOf(results: Results): Goal[] {
  const ratio = (contenders: readonly string[], names: readonly string[]) =>
    names.flatMap((name) => {
      const best = Math.min(...contenders.map((c) => results.median(name, c)).filter(Boolean));
      const value = best / results.median(name, OURS);
      return Number.isFinite(value) ? [value] : [];
    });
  const mean = (values: number[]) => (values.length ? geometricMean(values) : Number.NaN);
  const least = (values: number[]) => (values.length ? Math.min(...values) : Number.NaN);
  const goal = (what: string, measured: number, least: number): Goal => ({
    what,
    measured,
    wanted: ['≥', least],
    show: times,
  });
  const both = [EAGER, COMPILED];
  return SIZES.flatMap((size) => {
    const cases = results.cases.filter((name) => sizeOf(name) === size);
    const general = cases.filter((name) => /: (EvoNorm-|candidate)/.test(name));
    const of = (layer: string) => cases.filter((name) => name.endsWith(`: ${layer}`));
    const [eager, compiled, bnRelu] = WANTED[size];
    const means = `${size}, EvoNorms and candidates, geometric mean`;
    return [
      goal(`${means} against eager`, mean(ratio([EAGER], general)), eager),
      goal(`${means} against compiled`, mean(ratio([COMPILED], general)), compiled),
      goal(`${size}, the same, least against the better`, least(ratio(both, general)), 1.3),
      goal(`${size}, BN-ReLU, least against the better`, least(ratio(both, of(BN_RELU))), bnRelu),
      ...(size === 'width 16'
        ? [IDENTITY, BARE].map((layer) =>
            goal(`${size}, ${layer}, least against the better`, least(ratio(both, of(layer))), 1.5),
          )
        : []),
    ];
  });
}

const sizeOf = (name: string) => NETWORKS.find((n) => name.startsWith(`${n.name}: `))?.size;
