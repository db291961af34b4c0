/*
 * What a protocol asks of an engine. Apart from protocol.ts, so that a worker, which is given protocols that
 * were checked already, does not load what checks them: that takes longer than all else that it loads.
 */
import { anchorNamed } from './anchors.ts';
import { pooledShape } from './data.ts';
import { datasetSource } from './data-sources.ts';
import type { TrainingSetup } from './engine.ts';
import type { ImageShape } from './network.ts';
import type { Protocol } from './protocol.ts';

/** What networks must know of a data set. */
interface Images {
  /** After pooling. */
  readonly image: ImageShape;
  readonly classes: number;
}

function imagesOf({ name, pool }: Protocol['dataset']): Images {
  const { image, classes } = datasetSource(name);
  return { image: pooledShape(image, pool), classes };
}

/** The networks of a protocol, in the order of its anchors. Where its data set is loaded, nothing is read for it. */
export const protocolNetworks = (
  { anchors, dataset }: Protocol,
  { image, classes }: Images = imagesOf(dataset),
) => anchors.map((name) => anchorNamed(name).network(image, classes));

export const trainingSetup = (protocol: Protocol): TrainingSetup => ({
  batch: protocol.batch,
  groups: protocol.groups,
  movingDecay: protocol.movingDecay,
  momentum: protocol.optimiser.momentum,
  weightDecay: protocol.optimiser.weightDecay,
});
