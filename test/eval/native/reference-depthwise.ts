import type { Tensor } from '../../../src/eval/native/encode.ts';
import { addressOf, forElements, type Memory } from './reference-instructions.ts';

export interface DepthwiseShape {
  readonly x: Tensor;
  readonly y: Tensor;
  readonly kernel: number;
  readonly stride: number;
}

/** Calls `f` for every product y[at] += x[at]·w[index]. Pixels outside of the image do not count. */
function forProducts(
  { x, y, kernel, stride }: DepthwiseShape,
  images: number,
  f: (x: number, w: number, y: number) => void,
): void {
  const padding = (kernel - 1) / 2;
  forElements(y, images, (i, r, c, k, to) => {
    for (let tap = 0; tap < kernel * kernel; tap++) {
      const row = r * stride + Math.floor(tap / kernel) - padding;
      const column = c * stride + (tap % kernel) - padding;
      if (row < 0 || row >= x.height || column < 0 || column >= x.width) continue;
      f(addressOf(x, i, row, column, k), tap * x.channels + k, to);
    }
  });
}

const clear = (m: Memory, t: Tensor, images: number): void =>
  forElements(t, images, (_i, _r, _c, _k, at) => {
    m[at] = 0;
  });

export function depthwise(m: Memory, images: number, shape: DepthwiseShape, weights: number): void {
  clear(m, shape.y, images);
  forProducts(shape, images, (x, w, y) => {
    m[y]! += m[x]! * m[weights + w]!;
  });
}

export function depthwiseInputGradient(
  m: Memory,
  images: number,
  shape: DepthwiseShape,
  weights: number,
  adds: boolean,
): void {
  if (!adds) clear(m, shape.x, images);
  forProducts(shape, images, (dx, w, dy) => {
    m[dx]! += m[dy]! * m[weights + w]!;
  });
}

export function depthwiseWeightGradient(
  m: Memory,
  images: number,
  shape: DepthwiseShape,
  dw: number,
): void {
  m.fill(0, dw, dw + shape.kernel ** 2 * shape.x.channels);
  forProducts(shape, images, (x, w, dy) => {
    m[dw + w]! += m[x]! * m[dy]!;
  });
}

export const sigmoid = (x: number): number => 1 / (1 + Math.exp(-x));
export const silu = (x: number): number => x * sigmoid(x);
export const siluSlope = (x: number): number => {
  const s = sigmoid(x);
  return s + x * s * (1 - s);
};

/** y = f(a, b), element by element. */
export function map(
  m: Memory,
  images: number,
  [a, b, y]: readonly [Tensor, Tensor, Tensor],
  f: (a: number, b: number) => number,
): void {
  forElements(y, images, (i, r, c, k, at) => {
    m[at] = f(m[addressOf(a, i, r, c, k)]!, m[addressOf(b, i, r, c, k)]!);
  });
}

export function scale(m: Memory, images: number, x: Tensor, s: Tensor, y: Tensor): void {
  forElements(y, images, (i, r, c, k, at) => {
    m[at] = m[addressOf(x, i, r, c, k)]! * m[addressOf(s, i, 0, 0, k)]!;
  });
}

export function scaleFactorGradient(
  m: Memory,
  images: number,
  x: Tensor,
  dy: Tensor,
  ds: Tensor,
): void {
  clear(m, ds, images);
  forElements(x, images, (i, r, c, k, at) => {
    m[addressOf(ds, i, 0, 0, k)]! += m[at]! * m[addressOf(dy, i, r, c, k)]!;
  });
}

export function scaleInputGradient(
  m: Memory,
  images: number,
  { dy, s, p, dx, adds }: { dy: Tensor; s: Tensor; p: Tensor; dx: Tensor; adds: boolean },
): void {
  const pixels = dx.height * dx.width;
  forElements(dx, images, (i, r, c, k, at) => {
    const own = m[addressOf(dy, i, r, c, k)]! * m[addressOf(s, i, 0, 0, k)]!;
    m[at] = (adds ? m[at]! : 0) + own + m[addressOf(p, i, 0, 0, k)]! / pixels;
  });
}
