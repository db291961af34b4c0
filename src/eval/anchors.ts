import { UserError } from '../errors.ts';
import { didYouMean } from '../suggest.ts';
import type { ImageShape, Network } from './network.ts';
import { type ResnetSpec, resnet } from './resnet.ts';

/** A family of networks that candidates are scored in, one network per image shape. */
export interface Anchor {
  readonly doc: string;
  readonly network: (image: ImageShape, classes: number) => Network;
}

const residual = (
  name: string,
  doc: string,
  spec: Omit<ResnetSpec, 'name' | 'image' | 'classes'>,
): readonly [string, Anchor] => [
  name,
  { doc, network: (image, classes) => resnet({ ...spec, name, image, classes }) },
];

/** The anchors that a protocol can name. */
export const ANCHORS: ReadonlyMap<string, Anchor> = new Map([
  // The minis shrink the image in every stage, the first included: a step of them takes a millisecond or two.
  residual('mini-wide', 'ResNet of 1-1 blocks, width 16, expansion 2: shallow', {
    width: 16,
    stages: [1, 1],
    expansion: 2,
    strides: [2, 2],
  }),
  residual(
    'mini-deep',
    'ResNet of 2-2-2 blocks, width 8, expansion 2: fails without normalization',
    { width: 8, stages: [2, 2, 2], expansion: 2, strides: [2, 2, 2] },
  ),
  residual('resnet50-quarter', 'ResNet-50 with a quarter of its channels, adapted to CIFAR-10', {
    width: 16,
    stages: [3, 4, 6, 3],
    expansion: 4,
    stem: 7,
    // The first two convolutions of stride 2 (the stem and the second stage's) have stride 1.
    strides: [1, 1, 2, 2],
  }),
]);

/** Throws a UserError where there is no such anchor. */
export function anchorNamed(name: string): Anchor {
  const anchor = ANCHORS.get(name);
  if (anchor) return anchor;
  const known = [...ANCHORS.keys()].join(', ');
  throw new UserError(
    `There is no anchor ${JSON.stringify(name)}; the anchors are ${known}.${didYouMean(name, ANCHORS.keys())}`,
  );
}
