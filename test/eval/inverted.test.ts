import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { anchorNamed } from '../../src/eval/anchors.ts';
import { efficientnetB0 } from '../../src/eval/efficientnet.ts';
import { invertedBottlenecks, scaleChannels } from '../../src/eval/inverted.ts';
import { mobilenetV2 } from '../../src/eval/mobilenet.ts';
import { type Network, tensorShapes } from '../../src/eval/network.ts';
import { networkSize } from '../../src/eval/size.ts';
import { parseLayer } from '../../src/graph/text.ts';
import { cifar, countParameters, imageNet, print, slots } from './networks.ts';

/** Batch normalization at the end of every block has γ and β in the originals; here nothing stands there. */
const narrowEnds = (...stages: readonly (readonly [channels: number, blocks: number])[]) =>
  2 * stages.reduce((sum, [channels, blocks]) => sum + channels * blocks, 0);

const multiplyAdds = (network: Network) => networkSize(network, parseLayer('x')).multiplyAdds;

describe('MobileNetV2', () => {
  const whole = mobilenetV2({ name: 'whole', image: imageNet, classes: 1000, width: 1 });

  test('has the parameters and multiply-adds that are published', () => {
    // 3,504,872 parameters in torchvision; 300 M multiply-adds in the paper's table 4.
    const ends = narrowEnds([16, 1], [24, 2], [32, 3], [64, 4], [96, 3], [160, 3], [320, 1]);
    expect(countParameters(whole)).toBe(3_504_872 - ends);
    expect(Math.round(multiplyAdds(whole) / 1e6)).toBe(301);
    expect(slots(whole)).toBe(1 + 1 + 16 * 2 + 1);
  });

  test('× 0.5 has what is published, too: the last convolution keeps its channels', () => {
    const half = mobilenetV2({ name: 'half', image: imageNet, classes: 1000, width: 0.5 });
    // torchvision's definition has 1,968,680 parameters; 97 M multiply-adds in the authors' table.
    const ends = narrowEnds([8, 1], [16, 2], [16, 3], [32, 4], [48, 3], [80, 3], [160, 1]);
    expect(countParameters(half)).toBe(1_968_680 - ends);
    expect(Math.round(multiplyAdds(half) / 1e6)).toBe(97);
  });

  test('shrinks images by 32; adapted to CIFAR-10, by 8, and at last', () => {
    const sidesOf = (network: Network) => [
      ...new Set(tensorShapes(network).map(({ height }) => height)),
    ];
    expect(sidesOf(whole)).toEqual([224, 112, 56, 28, 14, 7, 1]);
    const half = anchorNamed('mobilenetv2-half').network(cifar, 10);
    expect(sidesOf(half)).toEqual([32, 16, 8, 4, 1]);
    const firstHalved = tensorShapes(half).findIndex(({ height }) => height === 16);
    const depthwise = half.ops.slice(0, firstHalved).filter(({ op }) => op === 'depthwise');
    expect(depthwise).toHaveLength(1 + 2 + 1);
  });

  test('can be made deeper: the blocks of each stage, rounded up', () => {
    const deeper = mobilenetV2({ name: 'deep', image: cifar, classes: 10, width: 0.5, depth: 1.4 });
    const blocks = deeper.ops.filter(({ op }) => op === 'depthwise').length;
    expect(blocks).toBe(2 + 3 + 5 + 6 + 5 + 5 + 2);
  });
});

describe('EfficientNet-B0', () => {
  const whole = efficientnetB0({ name: 'whole', image: imageNet, classes: 1000, width: 1 });

  test('has the parameters and multiply-adds that are published', () => {
    // 5,288,548 parameters in torchvision; 0.39 G multiply-adds in the paper's table 2.
    const ends = narrowEnds([16, 1], [24, 2], [40, 2], [80, 3], [112, 3], [192, 4], [320, 1]);
    expect(countParameters(whole)).toBe(5_288_548 - ends);
    expect(Math.round(multiplyAdds(whole) / 1e7)).toBe(39);
    expect(slots(whole)).toBe(1 + 1 + 15 * 2 + 1);
  });

  test('has depthwise kernels of 3 and 5, and a squeeze-excite to a quarter of each block’s input', () => {
    const kernels = whole.ops.flatMap((op) => (op.op === 'depthwise' ? [op.kernel] : []));
    expect(kernels.join('')).toBe('3335533355555553');
    const reduced = whole.ops.flatMap((op) => (op.op === 'squeezeExcite' ? [op.reduced] : []));
    expect(reduced).toEqual([8, 4, 6, 6, 10, 10, 20, 20, 20, 28, 28, 28, 48, 48, 48, 48]);
  });

  test('× 0.5 halves all channels, the last convolution’s included', () => {
    const network = anchorNamed('efficientnet-b0-half').network(cifar, 10);
    const shapes = tensorShapes(network);
    expect(shapes.at(-3)).toEqual({ height: 4, width: 4, channels: 640 });
  });
});

test('layers stand between 1×1 and depthwise, before squeeze-excite, after stem and head', () => {
  const network = invertedBottlenecks({
    name: 'tiny',
    image: { height: 7, width: 7, channels: 1 },
    classes: 10,
    stem: { channels: 8, stride: 1 },
    stages: [
      { expansion: 1, channels: 8, blocks: 1, stride: 1, kernel: 3 },
      { expansion: 3, channels: 16, blocks: 2, stride: 2, kernel: 5 },
    ],
    head: 32,
    squeeze: 4,
  });
  expect(print(network)).toMatchInlineSnapshot(`
    [
      "1: conv 3×3/1 of 0 → 7×7×8",
      "2: layer of 1 → 7×7×8",
      "3: depthwise 3×3/1 of 2 → 7×7×8",
      "4: layer of 3 → 7×7×8",
      "5: squeezeExcite by 2 of 4 → 7×7×8",
      "6: conv 1×1/1 of 5 → 7×7×8",
      "7: add of 6 + 2 → 7×7×8",
      "8: conv 1×1/1 of 7 → 7×7×24",
      "9: layer of 8 → 7×7×24",
      "10: depthwise 5×5/2 of 9 → 4×4×24",
      "11: layer of 10 → 4×4×24",
      "12: squeezeExcite by 2 of 11 → 4×4×24",
      "13: conv 1×1/1 of 12 → 4×4×16",
      "14: conv 1×1/1 of 13 → 4×4×48",
      "15: layer of 14 → 4×4×48",
      "16: depthwise 5×5/1 of 15 → 4×4×48",
      "17: layer of 16 → 4×4×48",
      "18: squeezeExcite by 4 of 17 → 4×4×48",
      "19: conv 1×1/1 of 18 → 4×4×16",
      "20: add of 19 + 13 → 4×4×16",
      "21: conv 1×1/1 of 20 → 4×4×32",
      "22: layer of 21 → 4×4×32",
      "23: pool of 22 → 1×1×32",
      "24: dense of 23 → 1×1×10",
    ]
  `);
});

test('channels are multiples of 8, at most a tenth below what is asked', () => {
  expect([24, 40, 112, 16, 3, 36].map((channels) => scaleChannels(channels, 0.5))).toEqual([
    16, 24, 56, 8, 8, 24,
  ]);
  for (let channels = 1; channels < 500; channels++) {
    const scaled = scaleChannels(channels, 0.7);
    expect(scaled % 8).toBe(0);
    expect(scaled).toBeGreaterThanOrEqual(0.9 * 0.7 * channels);
    expect(Math.abs(scaled - 0.7 * channels)).toBeLessThanOrEqual(8);
  }
});

test('every width, depth, image and number of classes gives a network that fits together', () => {
  const scaling = fc.record({
    name: fc.constant('any'),
    image: fc.record({
      height: fc.integer({ min: 1, max: 64 }),
      width: fc.integer({ min: 1, max: 64 }),
      channels: fc.integer({ min: 1, max: 4 }),
    }),
    classes: fc.integer({ min: 2, max: 100 }),
    width: fc.double({ min: 0.05, max: 2, noNaN: true }),
    depth: fc.double({ min: 0.1, max: 2, noNaN: true }),
    unstrided: fc.integer({ min: 0, max: 5 }),
  });
  fc.assert(
    fc.property(scaling, fc.constantFrom(mobilenetV2, efficientnetB0), (spec, family) => {
      const network = family(spec);
      const shapes = tensorShapes(network);
      expect(shapes.at(-1)).toEqual({ height: 1, width: 1, channels: spec.classes });
      for (const op of network.ops) {
        if (op.op === 'add') expect(shapes[op.inputs[0]]).toEqual(shapes[op.inputs[1]]);
        if (op.op === 'conv') expect(op.channels % 8).toBe(0);
      }
      const strided = network.ops.filter((op) => 'stride' in op && op.stride === 2);
      expect(strided).toHaveLength(5 - spec.unstrided);
    }),
    { numRuns: 50 },
  );
});
