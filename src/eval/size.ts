import type { LayerGraph } from '../graph/graph.ts';
import { type Network, type NetworkOp, parameterLayout, tensorShapes } from './network.ts';

/** How large a network is; `parameters` includes those of `layer` in every slot. */
export interface NetworkSize {
  /** Places of the candidate layer. */
  readonly slots: number;
  readonly parameters: number;
  /** Of the forward pass of one image, in convolutions and matrix products. */
  readonly multiplyAdds: number;
}

export function networkSize(network: Network, layer: LayerGraph): NetworkSize {
  const shapes = tensorShapes(network);
  const count = (op: NetworkOp, i: number): number => {
    if (op.op === 'add') return 0;
    const input = shapes[op.input]!.channels;
    const { height, width, channels } = shapes[i + 1]!;
    switch (op.op) {
      case 'conv':
        return height * width * channels * input * op.kernel ** 2;
      case 'depthwise':
        return height * width * channels * op.kernel ** 2;
      case 'squeezeExcite':
        return 2 * channels * op.reduced;
      case 'dense':
        return channels * input;
      case 'layer':
      case 'pool':
        return 0;
    }
  };
  return {
    slots: network.ops.filter(({ op }) => op === 'layer').length,
    parameters: parameterLayout(network, layer).reduce((sum, { size }) => sum + size, 0),
    multiplyAdds: network.ops.map(count).reduce((a, b) => a + b, 0),
  };
}
