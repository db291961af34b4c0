/*
 * What a protocol asks of an engine. Apart from protocol.ts, so that a worker, which is given protocols that
 * were checked already, does not load what checks them: that takes longer than all else that it loads.
 */
import { anchorNamed } from './anchors.ts';
import { datasetSource, pooledShape } from './data.ts';
import type { TrainingSetup } from './engine.ts';
import type { Protocol } from './protocol.ts';

/** The networks of a protocol, in the order of its anchors. */
export function protocolNetworks({ anchors, dataset }: Protocol) {
  const source = datasetSource(dataset.name);
  const image = pooledShape(source.image, dataset.pool);
  return anchors.map((name) => anchorNamed(name).network(image, source.classes));
}

export const trainingSetup = (protocol: Protocol): TrainingSetup => ({
  batch: protocol.batch,
  groups: protocol.groups,
  movingDecay: protocol.movingDecay,
  momentum: protocol.optimiser.momentum,
  weightDecay: protocol.optimiser.weightDecay,
});
