import { UserError } from '../errors.ts';
import { didYouMean } from '../suggest.ts';
import { efficientnetB0 } from './efficientnet.ts';
import { invertedBottlenecks } from './inverted.ts';
import { mobilenetV2 } from './mobilenet.ts';
import type { ImageShape, Network } from './network.ts';
import { type ResnetSpec, resnet } from './resnet.ts';

/** A family of networks that candidates are scored in, one network per image shape. */
export interface Anchor {
  readonly doc: string;
  readonly network: (image: ImageShape, classes: number) => Network;
}

/** The parts of a specification that are not the anchor's own. */
type Given = 'name' | 'image' | 'classes';

/** An entry of ANCHORS: a family's network of this specification, at any image shape. */
const anchor =
  <Spec extends Pick<ResnetSpec, Given>>(family: (spec: Spec) => Network) =>
  (name: string, doc: string, spec: Omit<Spec, Given>): readonly [string, Anchor] => [
    name,
    { doc, network: (image, classes) => family({ ...spec, name, image, classes } as Spec) },
  ];

const residual = anchor(resnet);
const inverted = anchor(invertedBottlenecks);
const mobile = anchor(mobilenetV2);
const efficient = anchor(efficientnetB0);

/** The first two convolutions of stride 2 have stride 1, as the images of CIFAR-10 want it. */
const CIFAR_HALF = { width: 0.5, unstrided: 2 };

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
  inverted('mini-mobile', 'MobileNetV2 of 1-2-2 blocks, expansion 4', {
    stem: { channels: 16, stride: 2 },
    stages: [
      { expansion: 1, channels: 8, blocks: 1, stride: 1, kernel: 3 },
      { expansion: 4, channels: 16, blocks: 2, stride: 2, kernel: 3 },
      { expansion: 4, channels: 24, blocks: 2, stride: 2, kernel: 3 },
    ],
    head: 96,
  }),
  inverted('mini-efficient', 'EfficientNet of 1-2-3 blocks, expansion 4, with squeeze-excite', {
    stem: { channels: 16, stride: 2 },
    stages: [
      { expansion: 1, channels: 8, blocks: 1, stride: 1, kernel: 3 },
      { expansion: 4, channels: 16, blocks: 2, stride: 2, kernel: 5 },
      { expansion: 4, channels: 24, blocks: 3, stride: 2, kernel: 3 },
    ],
    head: 96,
    squeeze: 4,
  }),
  residual('resnet50-quarter', 'ResNet-50 with a quarter of its channels, adapted to CIFAR-10', {
    width: 16,
    stages: [3, 4, 6, 3],
    expansion: 4,
    stem: 7,
    // The first two convolutions of stride 2 (the stem and the second stage's) have stride 1.
    strides: [1, 1, 2, 2],
  }),
  mobile(
    'mobilenetv2-half',
    'MobileNetV2 with half of its channels, adapted to CIFAR-10',
    CIFAR_HALF,
  ),
  efficient(
    'efficientnet-b0-half',
    'EfficientNet-B0 with half of its channels, adapted to CIFAR-10',
    CIFAR_HALF,
  ),
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
