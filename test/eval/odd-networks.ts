import type { Network, NetworkOp } from '../../src/eval/network.ts';
import { resnet } from '../../src/eval/resnet.ts';

/** Odd sizes on purpose: images of 9×7 that halve to 5×4 and 3×2, two grey levels. */
const IMAGE = { height: 9, width: 7, channels: 2 };
const CLASSES = 5;

function networkOf(name: string, build: (put: (op: NetworkOp) => number) => number): Network {
  const ops: NetworkOp[] = [];
  const put = (op: NetworkOp) => ops.push(op);
  const top = build(put);
  put({ op: 'dense', input: put({ op: 'pool', input: top }), units: CLASSES });
  return { name, image: IMAGE, classes: CLASSES, ops };
}

/** Channels of 6 and 12. */
export const RESIDUAL = resnet({
  ...{ name: 'residual', image: IMAGE, classes: CLASSES },
  ...{ width: 6, stages: [1, 2, 1], expansion: 2 },
});

/** Two inverted bottlenecks, the first with a shortcut, the second with a 5×5 kernel and stride 2. */
export const BOTTLENECKS = networkOf('bottlenecks', (put) => {
  const layer = (input: number) => put({ op: 'layer', input });
  const conv = (input: number, channels: number, kernel = 1) =>
    put({ op: 'conv', input, kernel, stride: 1, channels });
  const inner = (input: number, kernel: number, stride: 1 | 2, reduced: number) => {
    const wide = layer(put({ op: 'depthwise', input, kernel, stride }));
    return put({ op: 'squeezeExcite', input: wide, reduced });
  };
  const stem = conv(0, 6, 3);
  const first = conv(inner(layer(conv(stem, 18)), 3, 1, 3), 6);
  const sum = put({ op: 'add', inputs: [first, stem] });
  return layer(conv(inner(layer(conv(sum, 18)), 5, 2, 2), 10));
});

/** Every operation where it is seldom: on the image, read twice, side by side, as a term of a sum. */
export const ODD = networkOf('odd', (put) => {
  const scaled = put({ op: 'squeezeExcite', input: 0, reduced: 3 });
  const spread = put({ op: 'depthwise', input: 0, kernel: 5, stride: 1 });
  const sum = put({ op: 'add', inputs: [scaled, spread] });
  const wide = put({ op: 'conv', input: sum, kernel: 3, stride: 2, channels: 9 });
  const active = put({ op: 'layer', input: wide });
  const excited = put({ op: 'squeezeExcite', input: active, reduced: 1 });
  const local = put({ op: 'depthwise', input: active, kernel: 3, stride: 1 });
  const both = put({ op: 'add', inputs: [excited, local] });
  return put({ op: 'depthwise', input: both, kernel: 3, stride: 2 });
});
