import type { Stability } from './stability.ts';

/** What full training of one anchor gave. */
export interface AnchorScore {
  readonly anchor: string;
  /** Share of the validation images that are classified correctly. */
  readonly accuracy: number;
  /** Mean cross-entropy on the validation images. */
  readonly loss: number;
  readonly steps: number;
  /** Time spent; the one number here that two runs may disagree on. */
  readonly seconds: number;
  /** The training's losses, as `curveOf` condenses them. Not there in what versions stored that kept none. */
  readonly curve?: readonly number[];
  /** Where the anchor is one of those that the protocol tests the stability on. */
  readonly stability?: Stability;
}

/** Why a candidate was not trained to the end, with the numbers that decided. */
export type Rejection =
  /** Values or gradients of the layer itself overflow. */
  | { readonly outcome: 'not-finite' }
  /** The layer's output does not depend on its input. */
  | { readonly outcome: 'constant' }
  /** Only batch-independent layers are wanted, and this one has live moments over the batch. */
  | { readonly outcome: 'batch-dependent' }
  /** The quality test, after `step` steps, asks for `minAccuracy`. */
  | {
      readonly outcome: 'low-quality';
      readonly anchor: string;
      readonly step: number;
      readonly accuracy: number;
      readonly minAccuracy: number;
    }
  /** The loss was not finite after `step` steps. */
  | { readonly outcome: 'diverged'; readonly anchor: string; readonly step: number }
  /** The gradient's norm grew too large, or was not finite, after so many steps of ascent. */
  | {
      readonly outcome: 'unstable';
      readonly anchor: string;
      readonly ascentStep: number;
      readonly gradientNorm: number;
    }
  /** The safety net: `seconds` had passed after `step` steps on `anchor`. */
  | {
      readonly outcome: 'timeout';
      readonly anchor: string;
      readonly step: number;
      readonly seconds: number;
    }
  /** The worker died, more than once. */
  | { readonly outcome: 'crashed'; readonly message: string };

export interface Evaluated {
  readonly outcome: 'evaluated';
  /** In the order of the protocol's anchors. */
  readonly perAnchor: readonly AnchorScore[];
}

/** How a candidate ended. */
export type Outcome = Evaluated | Rejection;
export type OutcomeName = Outcome['outcome'];
export type RejectionName = Rejection['outcome'];

/** Rejections by tests that end a training which might have come to something. */
export const EARLY_REJECTIONS = ['low-quality', 'unstable'] as const;
export type EarlyRejection = (typeof EARLY_REJECTIONS)[number];

const percent = (share: number) => `${(100 * share).toFixed(1)} %`;

type Sentences = {
  readonly [Name in OutcomeName]: (outcome: Extract<Outcome, { outcome: Name }>) => string;
};

const SENTENCES: Sentences = {
  evaluated: ({ perAnchor }) =>
    perAnchor.map(({ anchor, accuracy }) => `${anchor} ${percent(accuracy)}`).join(', '),
  'not-finite': () => 'values or gradients of the layer are not finite',
  constant: () => 'the output does not depend on the input',
  'batch-dependent': () => 'the layer depends on the batch',
  'low-quality': ({ anchor, step, accuracy, minAccuracy }) =>
    `${percent(accuracy)} on ${anchor} after ${step} steps, where ${percent(minAccuracy)} are wanted`,
  diverged: ({ anchor, step }) => `the loss on ${anchor} is not finite after ${step} steps`,
  unstable: ({ anchor, ascentStep, gradientNorm }) =>
    Number.isFinite(gradientNorm)
      ? `the gradient on ${anchor} reaches ${gradientNorm.toExponential(1)} in ascent step ${ascentStep}`
      : `the gradient on ${anchor} is not finite in ascent step ${ascentStep}`,
  timeout: ({ anchor, step, seconds }) => `${seconds} s were over after ${step} steps on ${anchor}`,
  crashed: ({ message }) => `the worker crashed: ${message}`,
};

/** One line for people. */
export const describeOutcome = <Name extends OutcomeName>(
  outcome: Extract<Outcome, { outcome: Name }>,
): string => SENTENCES[outcome.outcome as Name](outcome);

/** All names, in the order of the funnel. */
export const OUTCOME_NAMES: readonly OutcomeName[] = [
  'not-finite',
  'constant',
  'batch-dependent',
  'low-quality',
  'diverged',
  'unstable',
  'timeout',
  'crashed',
  'evaluated',
];
