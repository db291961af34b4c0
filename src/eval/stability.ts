import type { LayerGraph } from '../graph/graph.ts';
import type { Batch } from './batches.ts';
import type { Session } from './engine.ts';
import { type Network, type ParameterKind, parameterLayout } from './network.ts';

/*
 * How stable a layer is (Liu et al. 2020, section 3.2): the convolution weights θ of a network at
 * initialisation are moved adversarially, so that ‖g‖₂ grows, where g = ∂ℓ/∂θ on one fixed batch. What learns
 * well for a while and blows up by bad luck shows it here within a few steps.
 *
 * The direction is ∂‖g‖/∂θ = H·u with u = g/‖g‖ and the Hessian H of the loss, and central differences of
 * gradients give it: H·u ≈ (g(θ + h·u) − g(θ − h·u)) / 2h. The paper names the number of steps and the
 * threshold, but no step sizes. Both are measured in ‖θ‖ here:
 *
 * - h = difference·‖θ‖. In single precision rounding leaves errors of some 1e-7·‖g‖ in the two gradients, which
 *   the division turns into 1e-7·‖g‖/h. Where a layer normalizes, g scales with 1/‖θ‖, so that ‖H·u‖ is at
 *   least ‖g‖/‖θ‖: relative to it the error is at most 1e-7/difference, in every network. In small networks
 *   ‖H·u‖ is a hundred times as much, and the error a hundredth. That of the difference itself grows with its
 *   square, and needs it to be small where curvature is great.
 * - A step moves θ by learningRate·‖θ‖ along H·u. Curvatures of networks lie orders of magnitude apart: steps
 *   of so many times H·u itself stand still in one network and leave single precision at once in another.
 *   So all networks are moved as far, and what differs is how their gradients take it.
 */

/** Settings of the test; the protocol says on which anchors. */
export interface StabilitySettings {
  /** Of the ascent, at most. */
  readonly steps: number;
  /** A layer with a greater ‖g‖₂ is unstable. */
  readonly threshold: number;
  /** How far a step moves the weights, in their own length. */
  readonly learningRate: number;
  /** How far from the weights gradients are compared, in the same measure. */
  readonly difference: number;
  /** In the batch. */
  readonly images: number;
}

/**
 * Steps and threshold are the paper's. With this learning rate most layers that blow up do so within ten steps,
 * as most of the paper's do within five; with this difference H·u is right to less than 1 % for smooth layers,
 * which ten times as much is not. Where the layer has kinks, as ReLU, H is not all: the difference also sees
 * the kinks between the weights that it compares.
 */
export const STABILITY: StabilitySettings = {
  ...{ steps: 100, threshold: 1e8, learningRate: 0.03, difference: 1e-5, images: 32 },
};

/** Weights that move. */
const MOVED: ReadonlySet<ParameterKind> = new Set(['conv', 'depthwise']);

/** ‖g‖₂ at some weights, and the way up from there. */
export interface Slope {
  readonly norm: number;
  /** ∂‖g‖/∂θ: one value for each convolution weight. Null where ‖g‖ is 0, which has no slope, or not finite. */
  readonly ascent: Float64Array | null;
}

/** The norm of the gradient of the loss on a batch, as a function of the convolution weights. */
export class GradientNorm {
  readonly #session: Pick<Session, 'load' | 'gradients'>;
  readonly #batch: Batch;
  /** All parameters; those that do not move stay as they were given. */
  readonly #parameters: Float32Array;
  /** Where convolution weights stand in them. */
  readonly #ranges: readonly (readonly [start: number, end: number])[];
  /** Convolution weights as they were given. */
  readonly #start: Float64Array;

  /** `parameters` in the order of `parameterLayout`. */
  constructor(
    session: Pick<Session, 'load' | 'gradients'>,
    { network, layer }: { readonly network: Network; readonly layer: LayerGraph },
    parameters: Float32Array,
    batch: Batch,
  ) {
    this.#session = session;
    this.#batch = batch;
    this.#parameters = parameters.slice();
    this.#ranges = parameterLayout(network, layer)
      .filter(({ kind }) => MOVED.has(kind))
      .map(({ offset, size }) => [offset, offset + size]);
    this.#start = this.#pick(parameters);
  }

  /** The convolution weights that it was given. */
  weights(): Float64Array {
    return this.#start.slice();
  }

  /** `difference` is that of weights whose gradients are compared, in ‖θ‖. Takes three gradients. */
  slope(weights: Float64Array, difference: number): Slope {
    const gradient = this.#gradient(weights);
    const norm = lengthOf(gradient);
    if (!Number.isFinite(norm) || norm === 0) return { norm, ascent: null };
    const h = difference * lengthOf(weights);
    const at = (sign: 1 | -1) =>
      this.#gradient(weights.map((w, i) => w + (sign * h * gradient[i]!) / norm));
    const above = at(1);
    const below = at(-1);
    return { norm, ascent: above.map((g, i) => (g - below[i]!) / (2 * h)) };
  }

  /** Takes one gradient. */
  norm(weights: Float64Array): number {
    return lengthOf(this.#gradient(weights));
  }

  #gradient(weights: Float64Array): Float64Array {
    let from = 0;
    for (const [start, end] of this.#ranges) {
      this.#parameters.set(weights.subarray(from, from + end - start), start);
      from += end - start;
    }
    this.#session.load(this.#parameters);
    const { images, labels } = this.#batch;
    return this.#pick(this.#session.gradients(images, labels).gradients);
  }

  #pick(vector: Float32Array): Float64Array {
    const picked = new Float64Array(
      this.#ranges.reduce((sum, [start, end]) => sum + end - start, 0),
    );
    let to = 0;
    for (const [start, end] of this.#ranges) {
      picked.set(vector.subarray(start, end), to);
      to += end - start;
    }
    return picked;
  }
}

/** What an ascent came to. */
export interface Stability {
  /** ‖g‖₂ after the last step. */
  readonly gradientNorm: number;
  /** The greatest one, and after how many steps it was met. */
  readonly greatestNorm: number;
  readonly greatestAt: number;
}

/** The step after which ‖g‖₂ is above the threshold, or not finite. */
export interface Instability {
  readonly ascentStep: number;
  readonly gradientNorm: number;
}

/**
 * Ascends from the weights that `gradient` was given. Ends early where the gradient is unstable, or 0 (which
 * shows no way up). `goesOn` is asked before each step; null where it says no.
 */
export function ascend(
  gradient: GradientNorm,
  { steps, threshold, learningRate, difference }: StabilitySettings,
  goesOn: () => boolean = () => true,
): Stability | Instability | null {
  let weights = gradient.weights();
  let [greatestNorm, greatestAt] = [0, 0];
  for (let step = 0; ; step++) {
    if (!goesOn()) return null;
    const isLast = step === steps;
    const { norm, ascent } = isLast
      ? { norm: gradient.norm(weights), ascent: null }
      : gradient.slope(weights, difference);
    if (!(norm <= threshold)) return { ascentStep: step, gradientNorm: norm };
    if (norm > greatestNorm) [greatestNorm, greatestAt] = [norm, step];
    const slope = ascent ? lengthOf(ascent) : 0;
    // The gradient is not finite as near as that.
    if (!Number.isFinite(slope)) return { ascentStep: step, gradientNorm: slope };
    if (ascent === null || slope === 0) return { gradientNorm: norm, greatestNorm, greatestAt };
    const rate = (learningRate * lengthOf(weights)) / slope;
    weights = weights.map((w, i) => w + rate * ascent[i]!);
  }
}

/** Gradients that a whole ascent takes. */
export const gradientsOf = ({ steps }: Pick<StabilitySettings, 'steps'>): number => 3 * steps + 1;

/** In double precision, in which squares of single precision do not overflow. */
function lengthOf(vector: Float64Array): number {
  let sum = 0;
  for (const value of vector) sum += value * value;
  return Math.sqrt(sum);
}
