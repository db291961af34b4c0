import type { ImageShape } from './network.ts';

/** Rows of `x` times a matrix of [inputs, units], plus the bias. */
export function affine(
  x: Float64Array,
  matrix: Float64Array,
  bias: Float64Array,
  batch: number,
): Float64Array {
  const y = new Float64Array(batch * bias.length);
  multiply(x.length / batch, bias.length, batch, (from, weight, to) => {
    y[to]! += x[from]! * matrix[weight]!;
  });
  return y.map((a, i) => a + bias[i % bias.length]!);
}

/** Adds what `dy` gives to the rows, the matrix and the bias. */
export function affineBackward(
  x: Float64Array,
  matrix: Float64Array,
  dy: Float64Array,
  batch: number,
  dx: Float64Array,
  dMatrix: Float64Array,
  dBias: Float64Array,
) {
  multiply(x.length / batch, dBias.length, batch, (from, weight, to) => {
    dx[from]! += dy[to]! * matrix[weight]!;
    dMatrix[weight]! += dy[to]! * x[from]!;
  });
  dy.forEach((d, i) => {
    dBias[i % dBias.length]! += d;
  });
}

/** Calls `visit` for every product, with the indices of its input, weight and output. */
function multiply(
  inputs: number,
  units: number,
  batch: number,
  visit: (from: number, weight: number, to: number) => void,
) {
  for (let n = 0; n < batch; n++)
    for (let i = 0; i < inputs; i++)
      for (let o = 0; o < units; o++) visit(n * inputs + i, i * units + o, n * units + o);
}

/** Where element `i` of a feature map goes when height and width are averaged away. */
export const pooledIndex = (i: number, { height, width, channels }: ImageShape): number =>
  Math.floor(i / (height * width * channels)) * channels + (i % channels);
