import {
  type Network,
  type ParameterKind,
  parameterLayout,
  tensorShapes,
} from '../../src/eval/network.ts';
import { parseLayer } from '../../src/graph/text.ts';

export const cifar = { height: 32, width: 32, channels: 3 };
export const imageNet = { height: 224, width: 224, channels: 3 };

const identity = parseLayer('x');

/** With γ and β in every slot; of these kinds alone, where any are given. */
export const countParameters = (network: Network, ...kinds: ParameterKind[]): number =>
  parameterLayout(network, identity)
    .filter(({ kind }) => kinds.length === 0 || kinds.includes(kind))
    .reduce((sum, { size }) => sum + size, 0);

export const slots = (network: Network): number =>
  network.ops.filter(({ op }) => op === 'layer').length;

/** A line per operation. */
export function print(network: Network): string[] {
  const shapes = tensorShapes(network);
  return network.ops.map((op, i) => {
    const { height, width, channels } = shapes[i + 1]!;
    const inputs = op.op === 'add' ? op.inputs.join(' + ') : op.input;
    const kernel = 'kernel' in op ? ` ${op.kernel}×${op.kernel}/${op.stride}` : '';
    const reduced = op.op === 'squeezeExcite' ? ` by ${op.reduced}` : '';
    return `${i + 1}: ${op.op}${kernel}${reduced} of ${inputs} → ${height}×${width}×${channels}`;
  });
}
