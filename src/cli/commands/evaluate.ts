import type { Command } from 'commander';
import { UserError } from '../../errors.ts';
import { type Dataset, loadDataset } from '../../eval/data.ts';
import type { Engine } from '../../eval/engine.ts';
import { evaluateLayer, type Progress } from '../../eval/evaluate.ts';
import { type AnchorScore, describeOutcome, type Outcome } from '../../eval/outcome.ts';
import { PROTOCOL_FLAGS } from '../../eval/presets.ts';
import { evaluationSeed, type Protocol, protocolKey } from '../../eval/protocol.ts';
import { percent } from '../../format.ts';
import type { LayerGraph } from '../../graph/graph.ts';
import { probe } from '../../graph/keys.ts';
import { formatLayer } from '../../graph/text.ts';
import {
  addEngineOptions,
  chosenEngine,
  type EngineOptions,
  engineOfProtocol,
} from '../engine-options.ts';
import { findLayer } from '../layers.ts';
import { addFlags, countFrom, dbOption, jsonOption } from '../options.ts';
import { note, print, printJson, table } from '../output.ts';
import { addProtocolOptions } from '../protocol-options.ts';
import { type RepeatOptions, saveRepeats } from '../repeats.ts';
import { EVALUATION_FLAGS, protocolOf, type SettingOptions } from '../settings.ts';

export const evaluateCommand = (program: Command) =>
  addEngineOptions(addFlags(addProtocolOptions(program.command('evaluate')), EVALUATION_FLAGS))
    .argument('<layer>', 'id, zoo name, formula or file')
    .option('--save', 'store the evaluations beside the first one of a layer in the database')
    .option(
      '--repeats <n>',
      'with --save: how many evaluations to have in all, those that are there included',
      countFrom('--repeats', 10_000),
    )
    .option('--protocol <key>', 'with --save: a protocol of the database, or how its key begins')
    .addOption(dbOption())
    .addOption(jsonOption())
    .action(evaluate);

type Options = SettingOptions &
  EngineOptions &
  Omit<RepeatOptions, 'repeats'> & { readonly save?: true; readonly repeats?: number };

function evaluate(text: string, options: Options, command: Command) {
  const { save, repeats = 2, protocol: key } = options;
  if (save) {
    refuseSettings(command);
    return saveRepeats(text, { ...options, repeats });
  }
  const stray = options.repeats !== undefined ? '--repeats' : key !== undefined && '--protocol';
  if (stray) throw new UserError(`${stray} says what to store, and goes with --save.`);
  return evaluateOnce(text, options);
}

/** What is stored belongs to a protocol of the database, which no flag may change. */
function refuseSettings(command: Command): void {
  const settings = [
    'preset',
    'config',
    'engine',
    'backend',
    ...Object.keys({ ...PROTOCOL_FLAGS, ...EVALUATION_FLAGS }),
  ];
  const stray = settings.find((name) => command.getOptionValueSource(name) === 'cli');
  if (stray === undefined) return;
  const { long } = command.options.find((option) => option.attributeName() === stray)!;
  throw new UserError(
    `--save evaluates under a protocol of the database, as it is; leave ${long} out, or name another protocol with --protocol.`,
  );
}

function evaluateOnce(text: string, options: Options) {
  const { layer } = findLayer(text, options.db);
  const chosen = chosenEngine(options);
  const protocol = protocolOf(options, chosen.numerics);
  const engine = engineOfProtocol(chosen, protocol);
  const { dataset } = protocol;
  const outcome = train(layer, protocol, () => loadDataset(dataset.name, dataset), engine);
  const formula = formatLayer(layer);
  if (options.json)
    return printJson({ formula, protocol: protocolKey(protocol), ...plain(outcome) });
  print(formula);
  if (outcome.outcome !== 'evaluated')
    return print(`${outcome.outcome}: ${describeOutcome(outcome)}`);
  print(
    table(outcome.perAnchor, [
      { head: 'anchor', value: ({ anchor }) => anchor },
      { head: 'accuracy', value: ({ accuracy }) => percent(accuracy), align: 'right' },
      { head: 'loss', value: ({ loss }) => loss.toFixed(4), align: 'right' },
      { head: 'steps', value: ({ steps }) => steps, align: 'right' },
      { head: 'seconds', value: ({ seconds }) => seconds.toFixed(2), align: 'right' },
      ...(protocol.stability
        ? [
            {
              head: 'greatest gradient',
              value: ({ stability }: AnchorScore) => stability?.greatestNorm.toExponential(1) ?? '',
              align: 'right',
            } as const,
          ]
        : []),
    ]),
  );
}

/** The funnel for one layer. The same seed as in a search gives the same scores. */
function train(
  layer: LayerGraph,
  protocol: Protocol,
  dataset: () => Dataset,
  engine: Engine,
): Outcome {
  const probed = probe(layer);
  if (probed.verdict !== 'ok') return { outcome: probed.verdict };
  const seed = evaluationSeed(protocol, probed.functionalKey, 0);
  return evaluateLayer({ layer, protocol, seed, dataset: dataset(), engine, onProgress: tell() });
}

/** Ten lines per anchor at most. */
function tell(): (progress: Progress) => void {
  return ({ anchor, step, steps, loss }) => {
    if (step % Math.ceil(steps / 10) === 0 || step === steps)
      note(`${anchor}: step ${step} of ${steps}, loss ${loss.toFixed(3)}`);
  };
}

/** The outcome with the same keys for everything; a rejection adds its numbers. */
function plain(outcome: Outcome) {
  if (outcome.outcome === 'evaluated') return outcome;
  const { outcome: name, ...rejection } = outcome;
  return { outcome: name, perAnchor: [], rejection };
}
