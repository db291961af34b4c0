import { type Command, Option } from 'commander';
import { type Store, usingStore } from '../../../db/store.ts';
import { UserError } from '../../errors.ts';
import { checkDataset } from '../../eval/data.ts';
import { datasetSource } from '../../eval/data-sources.ts';
import { engineWith } from '../../eval/engines.ts';
import { protocolKey } from '../../eval/protocol.ts';
import { duration } from '../../format.ts';
import { layerOf } from '../../graph/genome.ts';
import { formatLayer } from '../../graph/text.ts';
import { reading } from '../../reading/open.ts';
import { runTrials, type TrialProgress } from '../../search/trials.ts';
import { judge } from '../confirm/judge.ts';
import {
  type Cell,
  type Entrant,
  type Plan,
  type PlanOptions,
  plainCell,
  planOf,
  TRIAL_FLAGS,
  titles,
} from '../confirm/plan.ts';
import { describe, verdictOf } from '../confirm/report.ts';
import { trainingSecondsOf } from '../cost.ts';
import {
  addEngineOptions,
  chosenEngine,
  type EngineOptions,
  workersOn,
} from '../engine-options.ts';
import { INTERRUPTED, interruptibly } from '../interrupt.ts';
import { addFlags, countFrom, dbOption, jsonOption, runNumberFrom } from '../options.ts';
import { note, print, printJson, quoted } from '../output.ts';
import { addWorkersOption } from '../session.ts';

const list = (value: string, before: readonly string[] = []): readonly string[] => [
  ...before,
  ...value.split(',').filter((name) => name !== ''),
];

export const confirmCommand = (program: Command) =>
  addWorkersOption(addEngineOptions(addFlags(program.command('confirm'), TRIAL_FLAGS)))
    .argument('[run]', 'the run; the youngest otherwise', runNumberFrom('The run'))
    .option('--top <n>', 'how many of its best layers', countFrom('--top', 1000), 5)
    .option('--keep <n>', 'mark the best of these that many', countFrom('--keep', 1000))
    .option('--seeds <n>', 'trainings of each layer in each network', countFrom('--seeds', 1000), 8)
    .option('--baseline <name>', 'known layers to compare with', list)
    .addOption(new Option('--dataset <name>', 'data sets; the run’s otherwise').argParser(list))
    .addOption(
      new Option(
        '--anchor <name>',
        'networks; the run’s and one of another family otherwise',
      ).argParser(list),
    )
    .option('--dry-run', 'tell what would be trained and what it costs, and stop')
    .addOption(dbOption())
    .addOption(jsonOption())
    .action(confirm);

type Options = PlanOptions &
  EngineOptions & {
    readonly workers?: number;
    readonly keep?: number;
    readonly seeds: number;
    readonly dryRun?: true;
    readonly json?: true;
  };

async function confirm(run: number | undefined, options: Options): Promise<void> {
  if (options.seeds < 2)
    throw new UserError(
      '--seeds is 1; it must be at least 2, for one training says nothing of chance.',
    );
  const wanted = { ...options, ...numericsOf(options) };
  const planned = reading(options.db, (store) => planOf(store, run, wanted));
  const workers = workersOn(planned.cells[0]!.protocol.numerics, options.workers);
  if (options.dryRun) return tellPlan(planned, { ...options, workers });
  await usingStore(options.db, {}, async (store) => {
    for (const { dataset } of planned.cells) checkDataset(dataset);
    const failed = await interruptibly(
      (signal) => train(store, planned, { ...options, workers }, signal),
      note,
    );
    if (failed === null) return sayHowToGoOn();
    if (failed > 0)
      throw new UserError(
        `${failed} trainings timed out or crashed and were not stored; run the command again, on a machine that is less busy or with a longer --timeout.`,
        1,
      );
    conclude(store, planned, options);
  });
}

/** Null where it was interrupted. */
async function train(
  store: Store,
  { cells, entrants }: Plan,
  { seeds, workers }: Options & { readonly workers: number },
  signal: AbortSignal,
): Promise<number | null> {
  const start = performance.now();
  let before: number | null = null;
  const onProgress = ({ done, of }: TrialProgress) => {
    before ??= done;
    const made = done - before;
    if (made === 0) return note(`${of - done} of ${of} trainings are to be made`);
    if (done < of && made % Math.ceil(of / 20) > 0) return;
    const left = ((performance.now() - start) / 1000 / made) * (of - done);
    note(`${done} of ${of} trainings${done < of ? `, ${duration(left)} left` : ''}`);
  };
  const protocols = cells.map(({ protocol }) => protocol);
  try {
    const contestants = entrants;
    return await runTrials({ store, contestants, protocols, seeds, workers, signal, onProgress });
  } catch (error) {
    if (signal.aborted) return null;
    throw error;
  }
}

function sayHowToGoOn(): void {
  process.exitCode = INTERRUPTED;
  note('Interrupted; what was trained is saved.');
  note(`To go on: evolayer ${process.argv.slice(2).map(quoted).join(' ')}`);
}

/** The arithmetic of the engine that is asked for; nothing where that of the search is to be kept. */
function numericsOf(options: EngineOptions): { numerics?: string } {
  if (options.engine === undefined && options.backend === undefined) return {};
  return { numerics: chosenEngine(options).numerics };
}

function tellPlan(
  { run, cells, entrants }: Plan,
  { seeds, workers, json }: Options & { readonly workers: number },
) {
  const engine = engineWith(cells[0]!.protocol.numerics);
  const seconds =
    cells.reduce((sum, { protocol }) => sum + trainingSecondsOf(protocol, engine), 0) *
    ((seeds * entrants.length) / workers);
  const trainings = cells.length * seeds * entrants.length;
  if (json)
    return printJson({
      run,
      cells: cells.map(plainCell),
      layers: titles(entrants),
      seeds,
      trainings,
      seconds,
    });
  print(`Run ${run}: ${titles(entrants).join(', ')}`);
  for (const { dataset, anchor, seen, protocol } of cells)
    print(
      `${anchor} on ${dataset}, ${protocol.steps} steps${seen ? '' : ': not seen by the search'}`,
    );
  print(
    `${trainings} trainings (${seeds} seeds) take about ${duration(seconds)} with ${workers} ${workers === 1 ? 'worker' : 'workers'}, if none was made yet.`,
  );
}

function conclude(store: Store, planned: Plan, { seeds, keep, json }: Options) {
  const { run, cells, entrants } = planned;
  let diverged = 0;
  const accuracyOf = (cell: Cell, { functionalKey }: Entrant, seed: number): number => {
    const key = protocolKey(cell.protocol);
    const outcome = store.trials.outcome({ protocolKey: key, functionalKey, seed });
    if (outcome === null) throw new Error('internal: a trial is missing');
    if (outcome.outcome === 'evaluated') return outcome.perAnchor[0]!.accuracy;
    diverged++;
    return 1 / datasetSource(cell.dataset).classes;
  };
  const trialled = entrants.map((entrant) => ({
    ...entrant,
    accuracies: cells.map((cell) =>
      Array.from({ length: seeds }, (_, seed) => accuracyOf(cell, entrant, seed)),
    ),
  }));
  const judged = judge(trialled);
  const byTitle = new Map(entrants.map((entrant) => [entrant.title, entrant]));
  const found = judged.filter(({ isKnown }) => !isKnown);
  const verdicts = found.map((one) => ({
    functionalKey: byTitle.get(one.title)!.functionalKey,
    confirmed: one.confirmed,
    verdict: { ...one, seeds, cells: cells.map(plainCell) },
  }));
  store.saveConfirmations(run, verdicts, new Date().toISOString());
  const kept = new Set(found.slice(0, keep ?? 0).map(({ title }) => title));
  const rows = judged.map((one) => {
    const formula = formatLayer(layerOf(byTitle.get(one.title)!.genome));
    return { ...one, formula, kept: kept.has(one.title) };
  });
  if (json) return printJson({ run, seeds, cells: cells.map(plainCell), diverged, layers: rows });
  describe(rows, cells, keep);
  note(verdictOf(found, seeds, cells, diverged));
}
