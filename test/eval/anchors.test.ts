import { expect, test } from 'vitest';
import { ANCHORS, anchorNamed } from '../../src/eval/anchors.ts';
import { tensorShapes } from '../../src/eval/network.ts';
import { slots } from './networks.ts';

test('every anchor fits every image shape that its slots can be made of', () => {
  for (const anchor of ANCHORS.values())
    for (const side of [1, 2, 7, 14, 28]) {
      const network = anchor.network({ height: side, width: side, channels: 1 }, 10);
      const shapes = tensorShapes(network);
      expect(shapes.at(-1)).toEqual({ height: 1, width: 1, channels: 10 });
      for (const op of network.ops)
        if (op.op === 'add') expect(shapes[op.inputs[0]]).toEqual(shapes[op.inputs[1]]);
    }
});

test('anchors carry their own names, differ in depth and width, and have channels in multiples of 8', () => {
  const image = { height: 14, width: 14, channels: 1 };
  const seen = new Set<string>();
  for (const [name, anchor] of ANCHORS) {
    const network = anchor.network(image, 10);
    expect(network.name).toBe(name);
    const stem = network.ops[0]!;
    seen.add(`${slots(network)} slots, width ${stem.op === 'conv' && stem.channels}`);
    for (const [i, { channels }] of tensorShapes(network).entries())
      if (i > 0 && i < network.ops.length) expect(channels % 8, `${name} ${i}`).toBe(0);
  }
  expect(seen.size).toBe(ANCHORS.size);
});

test('an unknown anchor is named, with the known ones', () => {
  expect(() => anchorNamed('vgg')).toThrowErrorMatchingInlineSnapshot(
    `[UserError: There is no anchor "vgg"; the anchors are mini-wide, mini-deep, mini-mobile, mini-efficient, resnet50-quarter, mobilenetv2-half, efficientnet-b0-half.]`,
  );
});
