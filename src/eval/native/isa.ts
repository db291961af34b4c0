import type { AuxiliaryName, ElementwiseName } from '../../graph/ops.ts';

/**
 * The instruction set between the TypeScript compiler and the C++ machine. `npm run generate` writes
 * `native/isa.h` from the tables of this file.
 *
 * A machine owns one arena of floats; every address is an offset in floats into it. A program is an
 * Int32Array of instructions `[opcode, length in words, …fields]`; it runs for a number of images n
 * that is given with each run, at most the number that buffers were planned for. These may be some of a larger
 * batch: the runs of its other images follow, and what is summed over the batch (gradients of parameters, the
 * result of `loss`, `gather`) is overwritten by the first and added to by the others. Moments over the batch
 * are those of one run.
 *
 * A *tensor* is five words [offset, height, width, channels, halo]: image i, row r, column c, channel k
 * stands at offset + (((i·(height + 2·halo) + r + halo)·(width + 2·halo)) + c + halo)·channels + k. Halos hold
 * zeros; instructions write interiors alone. `offset` is a multiple of 16, and every buffer is followed by
 * at least `SLACK` floats that may be read (never written) beyond its end.
 */
export const INSTRUCTIONS = [
  /** [x tensor, weights, y tensor, kernel, stride, mode, r tensor]: y = conv(x, w), plus r where mode is 1 (r may be y). Weights [k][k][in][out]; zero padding (k − 1)/2 comes from x's halo. */
  'conv',
  /** [dy tensor, weights, dx tensor, kernel, stride, mode]: the gradient of conv's input; added to dx where mode is 1. dy has a halo ≥ (k − 1)/2. */
  'convInputGradient',
  /** [x tensor, dy tensor, dw, kernel, stride]: the gradient of conv's weights, overwriting dw. */
  'convWeightGradient',
  /** [x tensor, weights, y tensor, kernel, stride]: a convolution of every channel on its own. Weights [k][k][channels]; padding as in `conv`. */
  'depthwise',
  /** [dy tensor, weights, dx tensor, kernel, stride, mode]: the gradient of its input; added to dx where mode is 1. dy has a halo ≥ (k − 1)/2. */
  'depthwiseInputGradient',
  /** [x tensor, dy tensor, dw, kernel, stride]: the gradient of its weights, overwriting dw. */
  'depthwiseWeightGradient',
  /** [x tensor, y tensor 1×1]: mean over height and width. */
  'pool',
  /** [dy tensor 1×1, dx tensor, mode]: its gradient; added to dx where mode is 1. */
  'poolGradient',
  /** [x tensor 1×1, weights [in][out], bias, y tensor 1×1] */
  'dense',
  /** [x tensor, weights, dy tensor, dx tensor, mode, dw, db]: all of its gradients; dx is added to where mode is 1. */
  'denseGradient',
  /** [x tensor, y tensor]: y = x·sigmoid(x). y may be x, here and in the three that follow. */
  'silu',
  /** [x tensor, dy tensor, dx tensor]: its gradient, from its input. */
  'siluGradient',
  /** [x tensor, y tensor]: y = 1 / (1 + e^−x). */
  'sigmoid',
  /** [y tensor, dy tensor, dx tensor]: its gradient, from its output. */
  'sigmoidGradient',
  /** [x tensor, s tensor 1×1, y tensor]: y = x·s, one factor per image and channel. */
  'scale',
  /** [x tensor, dy tensor, ds tensor 1×1]: the gradient of s, Σ x·dy over height and width. */
  'scaleFactorGradient',
  /** [dy tensor, s tensor 1×1, p tensor 1×1, dx tensor, mode]: dx = dy·s + p / (height·width), where p is the gradient of a pool of x; added to dx where mode is 1. */
  'scaleInputGradient',
  /** [logits tensor 1×1, labels (int32), dlogits tensor or offset −1, result]: softmax cross-entropy. Gradient of the mean loss of the whole batch; the result is two float64 (at an even offset): sum of losses, number of correct images (largest logit, the first of equals). */
  'loss',
  /** [weights, gradients, momenta, count, hyper, decays]: m = momentum·m + g; w −= lr·(g + momentum·m), with g += weightDecay·w first where decays is 1. hyper: offset of [lr, momentum, weightDecay]. */
  'sgd',
  /** [a tensor, b tensor, y tensor]: y = a + b. */
  'add',
  /** [a tensor, y tensor]: y = a. */
  'copy',
  /** [offset, count] */
  'zero',
  /** [tensor]: zeros its halo. */
  'zeroHalo',
  /**
   * One sweep over all images of a layer, image by image, several passes over each image:
   * [height, width, channels, period, tile pixels, tile registers, floats per register, register base,
   *  number of tensors, tensors…, number of passes, passes…].
   * A pass is [number of prelude, tile and epilogue records, records…]. For each image, for each pass: the
   * prelude records once, the tile records for each tile of `tile pixels` consecutive pixels (the last may
   * be shorter), the epilogue records once. All heights, widths and channels of the tensors are the same.
   */
  'sweep',
  /** [channels, period, number of records, records…]: records on slots alone, once. */
  'small',
] as const;
export type InstructionName = (typeof INSTRUCTIONS)[number];

/**
 * Records are twelve words [code, dst kind, dst, a kind, a, b kind, b, c kind, c, p0, p1, p2].
 *
 * `period` is a multiple of both channels and lanes. A *slot* holds a value without space as a pattern of
 * `period` floats: the channel vector, repeated. So every element-wise record is one flat loop, in which
 * slots are read with period stride 0.
 */
export const RECORD_WORDS = 12;
export const OPERAND_KINDS = [
  'none',
  /** Tile register, by number. */
  'register',
  /** Tensor of the sweep, by number. As an argument it must have no halo, except of `copy`; as a destination anything goes, and exactly the tile's pixels are written. */
  'tensor',
  /** Slot of the current image: offset + image·period. */
  'imageSlot',
  /** Slot, by offset. */
  'slot',
] as const;
export type OperandKind = (typeof OPERAND_KINDS)[number];

/** Element-wise records: dst = code(a, b, c). In a tile they run over the tile, elsewhere over one period. */
export const ELEMENTWISE_RECORDS = [
  'add',
  'mul',
  'div',
  'max',
  'neg',
  'sigmoid',
  'tanh',
  'exp',
  'log',
  'abs',
  'square',
  'sqrt',
  'sign',
  'step',
  'clear',
  /** a − b */
  'sub',
  /** a·b + c */
  'fma',
  /** c − a·b */
  'fnma',
  /** a·b − c */
  'fms',
  /** a·(1 − b) */
  'complement',
  /** a·(1 − b²) */
  'tanhGradient',
  /** a·step(b, c) */
  'gate',
  /** 1 / guard(a): guard as in `div` */
  'reciprocal',
  /** √(a + ε) */
  'rootEps',
  /** a */
  'copy',
] as const satisfies readonly (ElementwiseName | AuxiliaryName | string)[];

/**
 * Reductions over pixels, per channel, into slots. In a tile they run over the tile's pixels; in a prelude
 * or epilogue over the one pixel that a slot is. p0 is the scope: 0 starts anew at the first tile of every
 * image, 1 only at the first tile of image 0. So a reduction needs no clearing.
 */
export const REDUCTION_RECORDS = [
  /** dst: slot of one period: Σ a */
  'sum',
  /** Σ a·b */
  'dot',
  /** dst: slot of three periods: a shift (a of the first pixel in scope), Σ (a − shift), Σ (a − shift)² */
  'stats',
] as const;

/**
 * What ends a reduction, in double precision. p1: how many consecutive channels are combined (1, those of a
 * group, or all); the result is written to each of them and repeated over the period.
 */
export const FINAL_RECORDS = [
  /** dst = from the `stats` slot a: the mean (p0 = 0), the mean square (1) or the biased variance (2) of p2 elements per channel, times the number of images where c (the word, kind none) is 1. */
  'moment',
  /** dst = from the `sum` or `dot` slot a: the sum. */
  'fold',
  /** dst = the channel vector at offset a (`channels` floats, kind slot), repeated over the period. */
  'spread',
  /** `channels` floats at offset dst (kind slot) = the start of slot a; in runs that continue a batch it is added. */
  'gather',
] as const;

export const RECORDS = [...ELEMENTWISE_RECORDS, ...REDUCTION_RECORDS, ...FINAL_RECORDS] as const;
export type RecordName = (typeof RECORDS)[number];

/** Floats that may be read behind any buffer. */
export const SLACK = 1024;
