import type { LayerGraph } from '../graph/graph.ts';
import { BatchStream } from './batches.ts';
import type { Dataset } from './data.ts';
import type { Engine, Session } from './engine.ts';
import { initialParameters } from './initial.ts';
import type { Network } from './network.ts';
import type { AnchorScore, Outcome, Rejection } from './outcome.ts';
import type { Protocol } from './protocol.ts';
import { protocolNetworks, trainingSetup } from './protocol-networks.ts';
import { learningRateAt } from './schedule.ts';

/** After a training step: `step` steps of `steps` are done on `anchor`. */
export interface Progress {
  readonly anchor: string;
  readonly step: number;
  readonly steps: number;
  /** Mean cross-entropy on the batch, before the step. */
  readonly loss: number;
}

export interface Evaluation {
  readonly layer: LayerGraph;
  readonly protocol: Protocol;
  /** Decides weights and batches, together with the anchor. See `evaluationSeed`. */
  readonly seed: string;
  readonly dataset: Dataset;
  readonly engine: Engine;
  readonly onProgress?: (progress: Progress) => void;
  /** Milliseconds that only go forward. */
  readonly now?: () => number;
}

/**
 * The part of the funnel that trains: the quality test on every anchor, which is the first steps of the
 * very training that follows, then the rest of the training on every anchor. The same evaluation gives
 * the same outcome, but for `seconds` and the timeout.
 */
export function evaluateLayer(evaluation: Evaluation): Outcome {
  checkMatch(evaluation);
  const { protocol } = evaluation;
  const clock = new Clock(evaluation.now ?? (() => performance.now()), protocol.timeout);
  const runs: AnchorRun[] = [];
  try {
    for (const network of protocolNetworks(protocol, evaluation.dataset)) {
      const run = new AnchorRun(evaluation, network, clock);
      runs.push(run);
      const rejection = run.qualityTest();
      if (rejection) return rejection;
    }
    const perAnchor: AnchorScore[] = [];
    for (const run of runs) {
      const result = run.finish();
      if ('outcome' in result) return result;
      perAnchor.push(result);
    }
    return { outcome: 'evaluated', perAnchor };
  } finally {
    for (const run of runs) run.close();
  }
}

/** What a protocol names must be what it is evaluated with; otherwise its key would lie. */
function checkMatch({ protocol, dataset, engine }: Evaluation) {
  const given = {
    numerics: engine.numerics,
    dataset: dataset.name,
    hash: dataset.hash,
    pool: dataset.pool,
  };
  const { name, hash, pool } = protocol.dataset;
  const wanted = { numerics: protocol.numerics, dataset: name, hash, pool };
  for (const key of Object.keys(wanted) as (keyof typeof wanted)[])
    if (given[key] !== wanted[key])
      throw new Error(
        `internal: evaluation with ${key} ${given[key]} for a protocol with ${wanted[key]}`,
      );
}

class Clock {
  readonly now: () => number;
  readonly #end: number;

  constructor(now: () => number, seconds: number) {
    this.now = now;
    this.#end = now() + 1000 * seconds;
  }

  get isOver(): boolean {
    return this.now() > this.#end;
  }
}

/** Training of one anchor, which may pause between the quality test and the rest. */
class AnchorRun {
  readonly #evaluation: Evaluation;
  readonly #anchor: string;
  readonly #clock: Clock;
  readonly #session: Session;
  readonly #batches: BatchStream;
  #step = 0;
  #seconds = 0;

  constructor(evaluation: Evaluation, network: Network, clock: Clock) {
    const { layer, protocol, dataset, engine } = evaluation;
    const seed = `${evaluation.seed}/${network.name}`;
    const black = -dataset.mean / dataset.std;
    const source = { split: dataset.train, image: dataset.image, black };
    this.#evaluation = evaluation;
    this.#anchor = network.name;
    this.#clock = clock;
    this.#session = engine.open(network, layer, trainingSetup(protocol));
    this.#session.load(initialParameters(network, layer, seed));
    this.#batches = new BatchStream(source, protocol.batch, protocol.augmentation, seed);
  }

  qualityTest(): Rejection | undefined {
    const { steps, images, minAccuracy } = this.#evaluation.protocol.quality;
    if (steps === 0) return undefined;
    return this.#timed(() => {
      const rejection = this.#trainTo(steps);
      if (rejection) return rejection;
      const { accuracy, loss } = this.#validate(images);
      const wanted = minAccuracy[this.#anchor]!;
      if (!Number.isFinite(loss)) return this.#diverged();
      if (accuracy >= wanted) return undefined;
      const at = { anchor: this.#anchor, step: this.#step };
      return { outcome: 'low-quality', ...at, accuracy, minAccuracy: wanted };
    });
  }

  finish(): AnchorScore | Rejection {
    const { steps, dataset } = this.#evaluation.protocol;
    const result = this.#timed(() => this.#trainTo(steps) ?? this.#validate(dataset.validation));
    if ('outcome' in result) return result;
    if (!Number.isFinite(result.loss)) return this.#diverged();
    return { anchor: this.#anchor, ...result, steps, seconds: this.#seconds };
  }

  close() {
    this.#session.close();
  }

  #trainTo(end: number): Rejection | undefined {
    const { protocol, onProgress } = this.#evaluation;
    const { schedule, optimiser, steps } = protocol;
    while (this.#step < end) {
      if (this.#clock.isOver) return this.#timeout();
      const { images, labels } = this.#batches.next();
      const rate = learningRateAt(schedule, optimiser.learningRate, this.#step, steps);
      const loss = this.#session.trainStep(images, labels, rate);
      if (!Number.isFinite(loss)) return this.#diverged();
      this.#step++;
      onProgress?.({ anchor: this.#anchor, step: this.#step, steps, loss });
    }
    return undefined;
  }

  /** Accuracy and loss on the first `count` validation images. */
  #validate(count: number): { accuracy: number; loss: number } {
    const { images, labels } = this.#evaluation.dataset.validation;
    const size = images.length / labels.length;
    const { loss, correct } = this.#session.evaluate(
      images.subarray(0, count * size),
      labels.subarray(0, count),
    );
    return { accuracy: correct / count, loss };
  }

  #diverged(): Rejection {
    return { outcome: 'diverged', anchor: this.#anchor, step: this.#step };
  }

  #timeout(): Rejection {
    const { timeout } = this.#evaluation.protocol;
    return { outcome: 'timeout', anchor: this.#anchor, step: this.#step, seconds: timeout };
  }

  #timed<T>(work: () => T): T {
    const start = this.#clock.now();
    const result = work();
    this.#seconds += (this.#clock.now() - start) / 1000;
    return result;
  }
}
