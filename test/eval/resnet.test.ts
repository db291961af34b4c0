import { expect, test } from 'vitest';
import { anchorNamed } from '../../src/eval/anchors.ts';
import { tensorShapes } from '../../src/eval/network.ts';
import { resnet } from '../../src/eval/resnet.ts';
import { cifar, countParameters, print, slots } from './networks.ts';

test('the convolutions and the classifier of ResNet-50 have as many weights as everywhere', () => {
  const network = resnet({
    name: 'resnet50',
    image: { height: 224, width: 224, channels: 3 },
    classes: 1000,
    width: 64,
    stages: [3, 4, 6, 3],
    expansion: 4,
    stem: 7,
  });
  // 25,557,032 parameters in torchvision, less 53,120 of batch normalization, less the classifier.
  expect(countParameters(network, 'conv')).toBe(25_557_032 - 53_120 - 2_049_000);
  expect(countParameters(network, 'dense', 'bias')).toBe(2_049_000);
  expect(slots(network)).toBe(16 * 3 + 1);
});

test('ResNet-50 × 0.25 keeps images of 32×32 whole for two stages', () => {
  const network = anchorNamed('resnet50-quarter').network(cifar, 10);
  const shapes = tensorShapes(network);
  const adds = network.ops.flatMap(({ op }, i) => (op === 'add' ? [shapes[i + 1]!] : []));
  expect([2, 6, 12, 15].map((block) => adds[block])).toEqual([
    { height: 32, width: 32, channels: 64 },
    { height: 32, width: 32, channels: 128 },
    { height: 16, width: 16, channels: 256 },
    { height: 8, width: 8, channels: 512 },
  ]);
  expect(slots(network)).toBe(49);
});

test('blocks are pre-activation bottlenecks; shortcuts are projected only where the shape changes', () => {
  const network = resnet({
    name: 'tiny',
    image: { height: 7, width: 7, channels: 1 },
    classes: 10,
    width: 4,
    stages: [2, 1],
    expansion: 2,
  });
  expect(print(network)).toMatchInlineSnapshot(`
    [
      "1: conv 3×3/1 of 0 → 7×7×4",
      "2: layer of 1 → 7×7×4",
      "3: conv 1×1/1 of 2 → 7×7×4",
      "4: layer of 3 → 7×7×4",
      "5: conv 3×3/1 of 4 → 7×7×4",
      "6: layer of 5 → 7×7×4",
      "7: conv 1×1/1 of 6 → 7×7×8",
      "8: conv 1×1/1 of 2 → 7×7×8",
      "9: add of 7 + 8 → 7×7×8",
      "10: layer of 9 → 7×7×8",
      "11: conv 1×1/1 of 10 → 7×7×4",
      "12: layer of 11 → 7×7×4",
      "13: conv 3×3/1 of 12 → 7×7×4",
      "14: layer of 13 → 7×7×4",
      "15: conv 1×1/1 of 14 → 7×7×8",
      "16: add of 15 + 9 → 7×7×8",
      "17: layer of 16 → 7×7×8",
      "18: conv 1×1/1 of 17 → 7×7×8",
      "19: layer of 18 → 7×7×8",
      "20: conv 3×3/2 of 19 → 4×4×8",
      "21: layer of 20 → 4×4×8",
      "22: conv 1×1/1 of 21 → 4×4×16",
      "23: conv 1×1/2 of 17 → 4×4×16",
      "24: add of 22 + 23 → 4×4×16",
      "25: layer of 24 → 4×4×16",
      "26: pool of 25 → 1×1×16",
      "27: dense of 26 → 1×1×10",
    ]
  `);
});
