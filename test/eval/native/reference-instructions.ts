import type { Tensor } from '../../../src/eval/native/encode.ts';

/** Memory in double precision. */
export type Memory = Float64Array;

/** Where channel `k` of pixel (r, c) of image `i` stands. */
export const addressOf = (t: Tensor, i: number, r: number, c: number, k = 0): number =>
  t.offset +
  ((i * (t.height + 2 * t.halo) + r + t.halo) * (t.width + 2 * t.halo) + c + t.halo) * t.channels +
  k;

const times = (n: number, f: (i: number) => void): void => {
  for (let i = 0; i < n; i++) f(i);
};

/** Calls `f` for each channel of each pixel of a tensor. */
export function forElements(
  t: Tensor,
  images: number,
  f: (i: number, r: number, c: number, k: number, address: number) => void,
): void {
  times(images, (i) =>
    times(t.height, (r) =>
      times(t.width, (c) => times(t.channels, (k) => f(i, r, c, k, addressOf(t, i, r, c, k)))),
    ),
  );
}

interface Convolution {
  readonly x: Tensor;
  readonly y: Tensor;
  readonly kernel: number;
  readonly stride: number;
}

/** Calls `f` for every multiply-add of a convolution: y[at] += x[at]·w[index]. Pixels outside of the image do not count. */
function forProducts(
  { x, y, kernel, stride }: Convolution,
  images: number,
  f: (x: number, w: number, y: number) => void,
): void {
  const padding = (kernel - 1) / 2;
  forElements(y, images, (i, r, c, o, to) =>
    times(kernel, (a) =>
      times(kernel, (b) => {
        const [row, column] = [r * stride + a - padding, c * stride + b - padding];
        if (row < 0 || row >= x.height || column < 0 || column >= x.width) return;
        times(x.channels, (k) => {
          const w = ((a * kernel + b) * x.channels + k) * y.channels + o;
          f(addressOf(x, i, row, column, k), w, to);
        });
      }),
    ),
  );
}

/** y = conv(x, w) + r. */
export function conv(
  m: Memory,
  images: number,
  shape: Convolution,
  weights: number,
  r?: Tensor,
): void {
  const added = new Map<number, number>();
  if (r)
    forElements(shape.y, images, (i, row, column, k, to) =>
      added.set(to, m[addressOf(r, i, row, column, k)]!),
    );
  forElements(shape.y, images, (_i, _r, _c, _k, to) => {
    m[to] = added.get(to) ?? 0;
  });
  forProducts(shape, images, (x, w, y) => {
    m[y]! += m[x]! * m[weights + w]!;
  });
}

export function convInputGradient(
  m: Memory,
  images: number,
  { x: dx, y: dy, ...shape }: Convolution,
  weights: number,
  adds: boolean,
): void {
  if (!adds)
    forElements(dx, images, (_i, _r, _c, _k, to) => {
      m[to] = 0;
    });
  forProducts({ x: dx, y: dy, ...shape }, images, (to, w, from) => {
    m[to]! += m[from]! * m[weights + w]!;
  });
}

export function convWeightGradient(
  m: Memory,
  images: number,
  shape: Convolution,
  dw: number,
): void {
  const { kernel, x, y } = shape;
  m.fill(0, dw, dw + kernel * kernel * x.channels * y.channels);
  forProducts(shape, images, (from, w, dy) => {
    m[dw + w]! += m[from]! * m[dy]!;
  });
}

export function pool(m: Memory, images: number, x: Tensor, y: Tensor): void {
  forElements(y, images, (_i, _r, _c, _k, to) => {
    m[to] = 0;
  });
  forElements(x, images, (i, _r, _c, k, from) => {
    m[addressOf(y, i, 0, 0, k)]! += m[from]! / (x.height * x.width);
  });
}

export function poolGradient(
  m: Memory,
  images: number,
  dy: Tensor,
  dx: Tensor,
  adds: boolean,
): void {
  forElements(dx, images, (i, _r, _c, k, to) => {
    const share = m[addressOf(dy, i, 0, 0, k)]! / (dx.height * dx.width);
    m[to] = (adds ? m[to]! : 0) + share;
  });
}

export function dense(
  m: Memory,
  images: number,
  x: Tensor,
  weights: number,
  bias: number,
  y: Tensor,
): void {
  forElements(y, images, (i, _r, _c, o, to) => {
    m[to] = m[bias + o]!;
    times(x.channels, (k) => {
      m[to]! += m[addressOf(x, i, 0, 0, k)]! * m[weights + k * y.channels + o]!;
    });
  });
}

export function denseGradient(
  m: Memory,
  images: number,
  {
    x,
    weights,
    dy,
    dx,
    adds,
    dw,
    db,
  }: {
    x: Tensor;
    weights: number;
    dy: Tensor;
    dx: Tensor;
    adds: boolean;
    dw: number;
    db: number;
  },
): void {
  const one = { kernel: 1, stride: 1 };
  convInputGradient(m, images, { x: dx, y: dy, ...one }, weights, adds);
  convWeightGradient(m, images, { x, y: dy, ...one }, dw);
  m.fill(0, db, db + dy.channels);
  forElements(dy, images, (_i, _r, _c, o, from) => {
    m[db + o]! += m[from]!;
  });
}

/** Writes the gradient of the mean loss; returns [sum of losses, number of correct images]. */
export function loss(
  m: Memory,
  images: number,
  logits: Tensor,
  labels: readonly number[],
  gradient?: Tensor,
): [number, number] {
  let [sum, correct] = [0, 0];
  times(images, (i) => {
    const start = addressOf(logits, i, 0, 0);
    const values = [...m.subarray(start, start + logits.channels)];
    const largest = Math.max(...values);
    const powers = values.map((value) => Math.exp(value - largest));
    const total = powers.reduce((a, b) => a + b, 0);
    const label = labels[i]!;
    sum += Math.log(total) - (values[label]! - largest);
    if (values.indexOf(largest) === label) correct++;
    if (gradient)
      times(logits.channels, (k) => {
        const hit = k === label ? 1 : 0;
        m[addressOf(gradient, i, 0, 0, k)] = (powers[k]! / total - hit) / images;
      });
  });
  return [sum, correct];
}

export function sgd(
  m: Memory,
  at: { weights: number; gradients: number; momenta: number; count: number; hyper: number },
  decays: boolean,
): void {
  const [rate, momentum, decay] = m.subarray(at.hyper, at.hyper + 3) as unknown as [
    number,
    number,
    number,
  ];
  times(at.count, (i) => {
    const g = m[at.gradients + i]! + (decays ? decay * m[at.weights + i]! : 0);
    m[at.momenta + i] = momentum * m[at.momenta + i]! + g;
    m[at.weights + i]! -= rate * (g + momentum * m[at.momenta + i]!);
  });
}
