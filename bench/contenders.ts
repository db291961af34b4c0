import { BACKENDS } from '../src/eval/tfjs/backends.ts';
import { SETTINGS, type TrainingCase } from './cases.ts';
import type { Bench } from './context.ts';
import type { Contender, Missing } from './measure.ts';
import { EngineTrainer, TorchTrainer, type Trainer } from './training.ts';

/** Names of those that train. */
export const OURS = 'evolayer';
export const EAGER = 'torch eager';
export const COMPILED = 'torch compile';
/** The engine on TensorFlow.js, by backend, without JavaScript alone, which takes seconds for a step. */
export const TFJS = BACKENDS.filter((backend) => backend !== 'cpu').map(
  (backend) => `tfjs ${backend}` as const,
);

type Open = () => Promise<Trainer>;
export type Opener = readonly [name: string, open: Open | { readonly missing: string }];

/** How everybody opens a case. */
export async function openers(training: TrainingCase, bench: Bench): Promise<Opener[]> {
  const torch = await bench.torch();
  const peer = (mode: 'eager' | 'compile'): Open | { readonly missing: string } =>
    'missing' in torch ? torch : () => TorchTrainer.open(training, mode, torch);
  return [
    [OURS, async () => new EngineTrainer(training, bench.engine)],
    [EAGER, peer('eager')],
    [COMPILED, peer('compile')],
  ];
}

/** How the engine on TensorFlow.js opens a case, by backend. */
export const tfjsOpeners = (training: TrainingCase, bench: Bench): Opener[] =>
  bench
    .tfjs()
    .map(([backend, engine]) => [
      `tfjs ${backend}`,
      'missing' in engine ? engine : async () => new EngineTrainer(training, engine),
    ]);

const SAMPLE_MS = 50;

/** Steps of training; the model is opened by the first sample. Call `close` at the end. */
export function stepping([name, open]: Opener): {
  contender: Contender | Missing;
  close: () => Promise<void>;
} {
  const unit = 'ms';
  if (typeof open !== 'function')
    return { contender: { name, unit, ...open }, close: async () => {} };
  let ready: { trainer: Trainer; count: number } | undefined;
  const train = async (trainer: Trainer, count: number) =>
    (await trainer.steps(count, SETTINGS.learningRate)).ms / count;
  const sample = async () => {
    if (!ready) {
      ready = { trainer: await open(), count: 2 };
      // Compiles what is compiled at first use.
      await train(ready.trainer, 2);
      const ms = await train(ready.trainer, 2);
      ready.count = Math.max(1, Math.round(SAMPLE_MS / ms));
    }
    return train(ready.trainer, ready.count);
  };
  return { contender: { name, unit, sample }, close: async () => ready?.trainer.close() };
}
