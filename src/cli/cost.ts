import { loadDataset } from '../eval/data.ts';
import type { Engine } from '../eval/engine.ts';
import { initialParameters } from '../eval/initial.ts';
import type { Network } from '../eval/network.ts';
import type { Protocol } from '../eval/protocol.ts';
import { protocolNetworks, trainingSetup } from '../eval/protocol-networks.ts';
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
  /** Of the whole search, if every proposal were trained to the end; most are rejected long before. */
  readonly atMostSeconds: number;
}

const WARM_UP = 2;
const TIMED = 8;

export function costOf({ protocol, stop }: SearchConfig, engine: Engine, workers: number): Cost {
  const { layer } = ZOO.find(({ name }) => name === 'EvoNorm-S0')!;
  const dataset = loadDataset(protocol.dataset.name, protocol.dataset);
  const { images, labels } = dataset.train;
  const batch = {
    images: images.subarray(0, (images.length / labels.length) * protocol.batch),
    labels: labels.subarray(0, protocol.batch),
  };
  const steps = protocolNetworks(protocol).map((network) =>
    secondsPerStep(network, layer, protocol, engine, batch),
  );
  const trainingSeconds = protocol.steps * steps.reduce((a, b) => a + b, 0);
  return {
    failedTestSeconds: protocol.quality.steps * steps[0]!,
    trainingSeconds,
    proposalSeconds: secondsPerProposal(layer),
    atMostSeconds: (stop.proposals * trainingSeconds) / workers,
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
  { images, labels }: { images: Float32Array; labels: Uint8Array },
): number {
  const session = engine.open(network, layer, trainingSetup(protocol));
  try {
    session.load(initialParameters(network, layer, 'cost'));
    const train = (steps: number) => {
      for (let i = 0; i < steps; i++) session.trainStep(images, labels, 0);
    };
    train(WARM_UP);
    const start = performance.now();
    train(TIMED);
    return (performance.now() - start) / 1000 / TIMED;
  } finally {
    session.close();
  }
}
