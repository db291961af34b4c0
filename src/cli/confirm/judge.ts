import {
  holm,
  type Interval,
  intervalOf,
  mean,
  type PairedTest,
  pairedTest,
} from '../../reading/statistics.ts';

/** A layer with an accuracy for each cell (a network on a data set) and seed. */
export interface Trialled {
  readonly title: string;
  readonly isKnown: boolean;
  /** By cell, then by seed; a training that diverged has the accuracy of guessing. */
  readonly accuracies: readonly (readonly number[])[];
}

/** A layer against a known one, seed by seed. */
export interface Comparison extends PairedTest {
  readonly baseline: string;
  /** As `p`, for all comparisons together. */
  readonly corrected: number;
}

export interface Judged {
  readonly title: string;
  readonly isKnown: boolean;
  /** Over cells and seeds. */
  readonly mean: number;
  /** Over seeds, of the means over cells. */
  readonly interval: Interval | null;
  readonly perCell: readonly { readonly accuracy: number; readonly interval: Interval | null }[];
  /** With every known layer, in their order; none for known layers. */
  readonly comparisons: readonly Comparison[];
  /** True where it is significantly better than every known layer; false for known layers. */
  readonly confirmed: boolean;
}

/** How often all comparisons together may name a difference that is none. */
export const ALPHA = 0.05;

/**
 * What trials say of layers, the best first. Layers are compared seed by seed, which takes away what the
 * batches and first weights of a seed do to all of them; p-values are corrected for their number (Holm).
 */
export function judge(layers: readonly Trialled[]): Judged[] {
  const bySeed = layers.map(({ accuracies }) => meansBySeed(accuracies));
  const known = layers.flatMap(({ isKnown }, i) => (isKnown ? [i] : []));
  const pairs = layers.flatMap(({ isKnown }, i) =>
    isKnown
      ? []
      : known.map((baseline) => ({ i, baseline, ...paired(bySeed[i]!, bySeed[baseline]!) })),
  );
  const corrected = holm(pairs.map(({ p }) => p));
  return layers
    .map(({ title, isKnown, accuracies }, layer): Judged => {
      const comparisons = pairs.flatMap(({ i, baseline, ...test }, k) =>
        i === layer
          ? [{ baseline: layers[baseline]!.title, ...test, corrected: corrected[k]! }]
          : [],
      );
      return {
        ...{ title, isKnown, mean: mean(bySeed[layer]!), interval: intervalOf(bySeed[layer]!) },
        perCell: accuracies.map((all) => ({ accuracy: mean(all), interval: intervalOf(all) })),
        comparisons,
        confirmed:
          comparisons.length > 0 &&
          comparisons.every(({ difference, corrected }) => difference > 0 && corrected < ALPHA),
      };
    })
    .sort((a, b) => b.mean - a.mean);
}

const meansBySeed = (accuracies: readonly (readonly number[])[]): number[] =>
  accuracies[0]!.map((_, seed) => mean(accuracies.map((cell) => cell[seed]!)));

const paired = (ours: readonly number[], theirs: readonly number[]): PairedTest =>
  pairedTest(ours.map((value, seed) => value - theirs[seed]!));

/** The known layer that comes closest: the one that the layer is least better than. */
export const closest = ({ comparisons }: Pick<Judged, 'comparisons'>): Comparison | null =>
  comparisons.reduce<Comparison | null>(
    (least, one) => (least === null || one.difference < least.difference ? one : least),
    null,
  );
