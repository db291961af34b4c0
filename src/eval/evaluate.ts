import type { LayerGraph } from '../graph/graph.ts';
import { type BatchSource, BatchStream } from './batches.ts';
import { curveOf } from './curve.ts';
import type { Dataset, Split } from './data.ts';
import type { Engine, Session } from './engine.ts';
import { initialParameters } from './initial.ts';
import type { Network } from './network.ts';
import type { AnchorScore, Outcome, Rejection } from './outcome.ts';
import type { Protocol } from './protocol.ts';
import { protocolNetworks, trainingNetworks, trainingSetup } from './protocol-networks.ts';
import { learningRateAt } from './schedule.ts';
import { ascend, GradientNorm, type Stability } from './stability.ts';

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
 * very training that follows, then the stability test on those that the protocol names, then the rest of the
 * training on every anchor. The same evaluation gives the same outcome, but for `seconds` and the timeout.
 */
export function evaluateLayer(evaluation: Evaluation): Outcome {
  checkMatch(evaluation);
  const { protocol } = evaluation;
  const clock = new Clock(evaluation.now ?? (() => performance.now()), protocol.timeout);
  const runs: AnchorRun[] = [];
  try {
    const whole = protocolNetworks(protocol, evaluation.dataset);
    for (const [i, network] of trainingNetworks(protocol, evaluation.dataset).entries()) {
      const run = new AnchorRun(evaluation, network, whole[i]!, clock);
      runs.push(run);
      const rejection = run.qualityTest();
      if (rejection) return rejection;
    }
    for (const run of runs) {
      const rejection = run.stabilityTest();
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
    fold: dataset.fold,
  };
  const { name, hash, pool, fold = 0 } = protocol.dataset;
  const wanted = { numerics: protocol.numerics, dataset: name, hash, pool, fold };
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

/** Steps and milliseconds, at most, that an engine trains for until its losses are read, where it can do several steps. */
const STRETCH = { steps: 20, milliseconds: 250 };

/** Training of one anchor, which may pause between the quality test and the rest. */
class AnchorRun {
  readonly #evaluation: Evaluation;
  readonly #network: Network;
  readonly #anchor: string;
  readonly #clock: Clock;
  readonly #session: Session;
  readonly #batches: BatchStream;
  /** Of the steps that are done. */
  readonly #losses: number[] = [];
  /** Of the next stretch; the first one tells how long a step takes. */
  #stretch = 1;
  #seconds = 0;
  #stability: Stability | undefined;

  constructor(evaluation: Evaluation, network: Network, whole: Network, clock: Clock) {
    const { layer, protocol, engine } = evaluation;
    this.#evaluation = evaluation;
    this.#network = network;
    this.#anchor = network.name;
    this.#clock = clock;
    this.#session = engine.open(network, layer, trainingSetup(protocol), whole);
    this.#session.load(initialParameters(network, layer, this.#seed));
    this.#batches = this.#batchesOf(protocol.batch);
  }

  /** Decides the weights and the batches. */
  get #seed(): string {
    return `${this.#evaluation.seed}/${this.#anchor}`;
  }

  /** How many steps are done. */
  get #step(): number {
    return this.#losses.length;
  }

  #batchesOf(size: number): BatchStream {
    const { protocol, dataset } = this.#evaluation;
    const source = this.#sourceOf(dataset.train);
    return new BatchStream(source, size, protocol.augmentation, this.#seed);
  }

  #sourceOf(split: Split): BatchSource {
    const { image, mean, std } = this.#evaluation.dataset;
    return { split, image, black: -mean / std };
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

  /**
   * From the weights that training began with, on the first images that it saw. The session is another one, for
   * batches of another size, so that training goes on as if there had been no test.
   */
  stabilityTest(): Rejection | undefined {
    const { stability: test } = this.#evaluation.protocol;
    if (!test?.anchors.includes(this.#anchor)) return undefined;
    return this.#timed(() => {
      const found = this.#ascend(test);
      if (found === null) return this.#timeout();
      if ('ascentStep' in found) return { outcome: 'unstable', anchor: this.#anchor, ...found };
      this.#stability = found;
      return undefined;
    });
  }

  #ascend(test: NonNullable<Protocol['stability']>): ReturnType<typeof ascend> {
    const { layer, protocol, engine } = this.#evaluation;
    const network = this.#network;
    const setup = { ...trainingSetup(protocol), batch: test.images };
    const session = engine.open(network, layer, setup);
    try {
      const start = initialParameters(network, layer, this.#seed);
      const batch = this.#batchesOf(test.images).next();
      const gradient = new GradientNorm(session, { network, layer }, start, batch);
      return ascend(gradient, test, () => !this.#clock.isOver);
    } finally {
      session.close();
    }
  }

  finish(): AnchorScore | Rejection {
    const { steps, dataset } = this.#evaluation.protocol;
    const result = this.#timed(() => this.#trainTo(steps) ?? this.#validate(dataset.validation));
    if ('outcome' in result) return result;
    if (!Number.isFinite(result.loss)) return this.#diverged();
    const stability = this.#stability && { stability: this.#stability };
    const curve = curveOf(this.#losses);
    return { anchor: this.#anchor, ...result, steps, seconds: this.#seconds, curve, ...stability };
  }

  close() {
    this.#session.close();
  }

  #trainTo(end: number): Rejection | undefined {
    const { protocol, onProgress } = this.#evaluation;
    while (this.#step < end) {
      if (this.#clock.isOver) return this.#timeout();
      for (const loss of this.#lossesUpTo(end)) {
        if (!Number.isFinite(loss)) return this.#diverged();
        this.#losses.push(loss);
        onProgress?.({ anchor: this.#anchor, step: this.#step, steps: protocol.steps, loss });
      }
    }
    return undefined;
  }

  /** Of one step, or of a stretch of them. */
  #lossesUpTo(end: number): Iterable<number> {
    const session = this.#session;
    if (!session.trainSteps) {
      const { images, labels } = this.#batches.next();
      return [session.trainStep(images, labels, this.#rateAt(this.#step))];
    }
    const count = Math.min(this.#stretch, end - this.#step);
    const rates = Array.from({ length: count }, (_, i) => this.#rateAt(this.#step + i));
    const start = this.#clock.now();
    const losses = session.trainSteps(this.#batches, rates);
    const perStep = (this.#clock.now() - start) / count;
    const fitting = Math.floor(STRETCH.milliseconds / perStep);
    this.#stretch = Math.max(1, Math.min(STRETCH.steps, fitting));
    return losses;
  }

  #rateAt(step: number): number {
    const { schedule, optimiser, steps } = this.#evaluation.protocol;
    return learningRateAt(schedule, optimiser.learningRate, step, steps);
  }

  /** Accuracy and loss on the first `count` validation images. */
  #validate(count: number): { accuracy: number; loss: number } {
    const { loss, correct } = this.#classify(count);
    return { accuracy: correct / count, loss };
  }

  #classify(count: number): { correct: number; loss: number } {
    const { validation } = this.#evaluation.dataset;
    const session = this.#session;
    if (session.evaluateFirst) return session.evaluateFirst(count, this.#sourceOf(validation));
    const { images, labels } = validation;
    const size = images.length / labels.length;
    return session.evaluate(images.subarray(0, count * size), labels.subarray(0, count));
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
