/*
 * What a protocol asks of an engine. Apart from protocol.ts, so that a worker, which is given protocols that
 * were checked already, does not load what checks them: that takes longer than all else that it loads.
 */
import { anchorNamed } from './anchors.ts';

import { pooledShape } from './data.ts';
import { datasetSource } from './data-sources.ts';
import type { TrainingSetup } from './engine.ts';
import type { ImageShape, Network } from './network.ts';
import type { Protocol } from './protocol.ts';
import { croppedShape } from './views.ts';

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

/** The networks of a protocol for whole images, in the order of its anchors. Where its data set is loaded, nothing is read for it. */
export const protocolNetworks = (
  { anchors, dataset }: Protocol,
  { image, classes }: Images = imagesOf(dataset),
): Network[] => anchors.map((name) => anchorNamed(name).network(image, classes));

/** The same networks, with the same parameters, for the images in its training batches. */
export function trainingNetworks(
  protocol: Protocol,
  { image, classes }: Images = imagesOf(protocol.dataset),
): Network[] {
  return protocolNetworks(protocol, { image: croppedShape(image, protocol.augmentation), classes });
}

export const trainingSetup = (protocol: Protocol): TrainingSetup => ({
  batch: protocol.batch,
  groups: protocol.groups,
  movingDecay: protocol.movingDecay,
  momentum: protocol.optimiser.momentum,
  weightDecay: protocol.optimiser.weightDecay,
});
