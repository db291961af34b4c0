import type { Batch } from '../eval/batches.ts';
import type { Engine } from '../eval/engine.ts';
import { initialParameters } from '../eval/initial.ts';
import type { Network } from '../eval/network.ts';
import type { Protocol } from '../eval/protocol.ts';
import { trainingNetworks, trainingSetup } from '../eval/protocol-networks.ts';
import { gradientsOf } from '../eval/stability.ts';
import type { LayerGraph } from '../graph/graph.ts';
import { probe, structuralKey } from '../graph/keys.ts';
import { ZOO } from '../graph/zoo.ts';
import type { SearchConfig } from '../search/config.ts';

/** What a search costs, from a few steps timed on this machine with EvoNorm-S0. */
export interface Cost {
  /** Until a candidate fails the quality test on the first anchor. */
  readonly failedTestSeconds: number;
  /** Of a candidate that is trained to the end on every anchor. */
  readonly trainingSeconds: number;
  /** Of a proposal until it is known whether it is trained: the keys, computed by one thread. */
  readonly proposalSeconds: number;
  /** Of the whole search, if every proposal were trained to the end (most are rejected long before), or until its time is over. */
  readonly atMostSeconds: number;
}

const WARM_UP = 2;
const TIMED = 8;
/** Steps of large networks are timed less often: a search waits for it. */
const ENOUGH_SECONDS = 0.5;

/** Of a candidate that is trained to the end under the protocol, on every anchor, and passes its tests. */
export function trainingSecondsOf(
  protocol: Protocol,
  engine: Engine,
  steps = stepSecondsOf(protocol, engine),
): number {
  const training = protocol.steps * steps.reduce((a, b) => a + b, 0);
  return training + stabilitySecondsOf(protocol, steps);
}

/** Of the stability test, a gradient of which takes its images' share of a step; `steps` by anchor. */
function stabilitySecondsOf(
  { anchors, batch, stability }: Protocol,
  steps: readonly number[],
): number {
  if (!stability) return 0;
  const tested = steps.filter((_, i) => stability.anchors.includes(anchors[i]!));
  const images = gradientsOf(stability) * stability.images;
  return (images / batch) * tested.reduce((a, b) => a + b, 0);
}

/** Of the known layers, which are trained to the end before the first proposal. */
export function secondsOfKnown(
  { baselines, warmStart }: Pick<SearchConfig, 'baselines' | 'warmStart'>,
  trainingSeconds: number,
  workers: number,
): number {
  const known = new Set([...baselines, ...warmStart]).size;
  return (known * trainingSeconds) / Math.min(workers, Math.max(1, known));
}

export function costOf(config: SearchConfig, engine: Engine, workers: number): Cost {
  const { protocol, stop } = config;
  const steps = stepSecondsOf(protocol, engine);
  const trainingSeconds = trainingSecondsOf(protocol, engine, steps);
  const proposalSeconds = secondsPerProposal(knownLayer());
  // Proposals are made by one thread, training by all workers.
  const secondsEach = Math.max(trainingSeconds / workers, proposalSeconds);
  return {
    failedTestSeconds: protocol.quality.steps * steps[0]!,
    trainingSeconds,
    proposalSeconds,
    atMostSeconds: Math.min(
      stop.seconds ?? Number.POSITIVE_INFINITY,
      secondsOfKnown(config, trainingSeconds, workers) + stop.proposals * secondsEach,
    ),
  };
}

const knownLayer = (): LayerGraph => ZOO.find(({ name }) => name === 'EvoNorm-S0')!.layer;

/** Of a training step, by anchor. */
function stepSecondsOf(protocol: Protocol, engine: Engine): number[] {
  return trainingNetworks(protocol).map((network) =>
    secondsPerStep(network, knownLayer(), protocol, engine),
  );
}

/** What a step takes does not depend on what is in its images, so the data set need not be here. */
function someBatch({ image, classes }: Network, batch: number): Batch {
  const { height, width, channels } = image;
  return {
    images: Float32Array.from({ length: batch * height * width * channels }, (_, i) => Math.sin(i)),
    labels: Uint8Array.from({ length: batch }, (_, i) => i % classes),
  };
}

function secondsPerProposal(layer: LayerGraph): number {
  const propose = () => {
    structuralKey(layer);
    probe(layer);
  };
  for (let i = 0; i < WARM_UP; i++) propose();
  const start = performance.now();
  for (let i = 0; i < TIMED; i++) propose();
  return (performance.now() - start) / 1000 / TIMED;
}

function secondsPerStep(
  network: Network,
  layer: LayerGraph,
  protocol: Protocol,
  engine: Engine,
): number {
  const session = engine.open(network, layer, trainingSetup(protocol));
  try {
    session.load(initialParameters(network, layer, 'cost'));
    const { images, labels } = someBatch(network, protocol.batch);
    const seconds = () => {
      const start = performance.now();
      session.trainStep(images, labels, 0);
      return (performance.now() - start) / 1000;
    };
    return meanOfSteps(seconds);
  } finally {
    session.close();
  }
}

/** The mean over some steps behind the first ones, or over what there is time for. */
function meanOfSteps(step: () => number): number {
  let spent = 0;
  for (let i = 0; i < WARM_UP && spent < ENOUGH_SECONDS; i++) spent += step();
  let [sum, steps] = [0, 0];
  do {
    const seconds = step();
    sum += seconds;
    spent += seconds;
  } while (++steps < TIMED && spent < ENOUGH_SECONDS);
  return sum / steps;
}
