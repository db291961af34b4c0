import { geometricMean } from 'simple-statistics';
import { NETWORKS, randomBatch, SETTINGS, type TrainingCase, trainingCase } from '../cases.ts';
import { COMPILED, EAGER, type Opener, OURS, openers } from '../contenders.ts';
import type { Bench, Group } from '../context.ts';
import { KNOWN_LAYERS } from '../layers.ts';
import type { Contender, Missing } from '../measure.ts';
import type { Results } from '../results.ts';
import { figure, goals, missingContenders, table, times } from '../table.ts';

const STEPS = 300;
const VALIDATION = 2000;
const ROUNDS = { full: 3, quick: 1 };

/** A whole candidate: set up or compile, train, validate. Nobody has seen it before. */
export const candidate: Group = {
  name: 'candidate',
  doc: `a whole candidate in each mini: compilation, ${STEPS} steps, ${VALIDATION} validation images`,
  run,
  report,
};

async function run(bench: Bench, results: Results): Promise<void> {
  const { quick } = bench.settings;
  const evonorms = KNOWN_LAYERS.filter(({ general }) => general);
  const layers = quick
    ? evonorms.slice(0, 1)
    : [...evonorms, ...(await bench.candidates()).slice(0, 1)];
  for (const network of NETWORKS.filter(({ size }) => size === 'mini'))
    for (const layer of layers) {
      const training = trainingCase(network, layer);
      if (!bench.wants(training.name)) continue;
      const contenders = (await openers(training, bench)).map((o) => whole(o, training));
      const rounds = quick ? ROUNDS.quick : ROUNDS.full;
      await bench.measure(results, training.name, contenders, { rounds, warmUp: false });
    }
  results.notes.push(...(await bench.versions()));
}

function whole([name, open]: Opener, { network }: TrainingCase): Contender | Missing {
  const unit = 's';
  if (typeof open !== 'function') return { name, unit, ...open };
  const images = randomBatch(network, VALIDATION, -1);
  const sample = async () => {
    const trainer = await open();
    try {
      const training = await trainer.steps(STEPS, SETTINGS.learningRate);
      const validation = await trainer.evaluate(images);
      return (trainer.opening + training.ms + validation.ms) / 1000;
    } finally {
      await trainer.close();
    }
  };
  return { name, unit, sample };
}

function report(results: Results): string {
  const rows = results.cases.map((name) => {
    const seconds = (contender: string) => results.median(name, contender);
    return [
      name,
      ...[OURS, EAGER, COMPILED].map((contender) => figure(seconds(contender))),
      times(seconds(EAGER) / seconds(OURS)),
      times(seconds(COMPILED) / seconds(OURS)),
    ];
  });
  const mean = (contender: string) => {
    const ratios = results.cases
      .map((name) => results.median(name, contender) / results.median(name, OURS))
      .filter(Number.isFinite);
    return ratios.length ? geometricMean(ratios) : Number.NaN;
  };
  const head = ['s per candidate', OURS, EAGER, COMPILED, 'eager ÷ ours', 'compile ÷ ours'];
  return [
    table(head, rows),
    goals([
      {
        what: 'minis, geometric mean against eager',
        measured: mean(EAGER),
        wanted: ['≥', 6],
        show: times,
      },
      {
        what: 'minis, geometric mean against compiled',
        measured: mean(COMPILED),
        wanted: ['≥', 15],
        show: times,
      },
    ]),
    ...missingContenders(results),
  ].join('\n');
}
