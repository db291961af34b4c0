import { availableParallelism } from 'node:os';
import { type Command, Option } from 'commander';
import { UserError } from '../errors.ts';
import type { Engine } from '../eval/engine.ts';
import {
  BACKEND_CHOICES,
  chooseEngine,
  ENGINES,
  type EngineChoice,
  engineWith,
} from '../eval/engines.ts';
import { isOnGpu } from '../eval/tfjs/backends.ts';
import { didYouMean } from '../suggest.ts';
import { note } from './output.ts';

/** `--engine` and `--backend`. */
export const addEngineOptions = (command: Command): Command =>
  command
    .addOption(choice('--engine', 'what trains', ENGINES, 'engine'))
    .addOption(choice('--backend', 'what TensorFlow.js computes on', BACKEND_CHOICES, 'backend'));

export type EngineOptions = EngineChoice;

function choice(flag: string, doc: string, names: readonly string[], what: string): Option {
  const option = new Option(`${flag} <name>`, `${doc}: ${names.join(', ')}`).argParser(
    (name: string) => {
      if (names.includes(name)) return name;
      throw new UserError(
        `There is no ${what} ${JSON.stringify(name)}; the ${what}s are ${names.join(', ')}.${didYouMean(name, names)}`,
      );
    },
  );
  option.argChoices = [...names];
  return option;
}

/** The engine that the flags ask for; says what should be known of the choice. */
export function chosenEngine(options: EngineOptions): Engine {
  const { engine, notes } = chooseEngine(options);
  for (const text of notes) note(text);
  return engine;
}

/** The engine of a protocol: the one chosen, unless a configuration file names another arithmetic. */
export const engineOfProtocol = (chosen: Engine, { numerics }: { readonly numerics: string }) =>
  chosen.numerics === numerics ? chosen : engineWith(numerics);

/** How many workers to have: as many as asked for, or as there are processors, or one on a GPU, which one keeps busy. */
export const workersOn = (numerics: string, wanted: number | undefined): number =>
  wanted ?? (isOnGpu(numerics) ? 1 : availableParallelism());
