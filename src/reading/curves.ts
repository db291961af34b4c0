import type { Store } from '../../db/store.ts';
import { printable } from '../format.ts';
import { type EvaluationRecord, recordOf } from './scores.ts';
import { mean } from './statistics.ts';

/** The training losses of a layer on an anchor: the mean over the evaluations of which the database keeps them. */
export interface MeanCurve {
  readonly anchor: string;
  readonly steps: number;
  readonly evaluations: number;
  /** One for each stretch of the steps; see `curveOf`. */
  readonly losses: readonly number[];
}

/** Trainings of several layers on one anchor, all in the same stretches. */
export interface AnchorCurves {
  readonly anchor: string;
  readonly steps: number;
  readonly curves: readonly (Pick<MeanCurve, 'evaluations' | 'losses'> & {
    readonly layer: string;
  })[];
}

interface ProtocolCurves {
  readonly protocol: string;
  /** Without those that nothing is kept of. */
  readonly anchors: readonly AnchorCurves[];
}

/** A layer whose trainings are shown. */
interface Subject {
  readonly layer: string;
  readonly functionalKey: string | null;
}

type Training = EvaluationRecord['perAnchor'][number] & { readonly curve: readonly number[] };

/** Of evaluations under one protocol; anchors in its order, without those that nothing is kept of. */
export function meanCurves(
  evaluations: readonly Pick<EvaluationRecord, 'perAnchor'>[],
): MeanCurve[] {
  const byAnchor = new Map<string, Training[]>();
  for (const { perAnchor } of evaluations)
    for (const { curve, ...score } of perAnchor)
      if (curve)
        byAnchor.set(score.anchor, [...(byAnchor.get(score.anchor) ?? []), { ...score, curve }]);
  return [...byAnchor].map(([anchor, trainings]) => {
    const { steps, curve } = trainings[0]!;
    // A protocol trains for as many steps each time; another version may have condensed them otherwise.
    const alike = trainings.filter(
      (one) => one.steps === steps && one.curve.length === curve.length,
    );
    const losses = curve.map((_, i) => mean(alike.map((one) => one.curve[i]!)));
    return { anchor, steps, evaluations: alike.length, losses };
  });
}

/** Known layers that others are seen against. */
const KNOWN: readonly string[] = ['BN-ReLU', 'EvoNorm-B0', 'EvoNorm-S0'];

/** What a layer is called among those. */
export const ITSELF = 'this layer';

/** How a layer was trained: under each protocol, beside known layers that were trained under the same one. */
export function curvesOf(functionalKey: string | null, store: Store): ProtocolCurves[] {
  if (functionalKey === null) return [];
  const past = store.history.ofFunction(functionalKey);
  const keys = [...new Set(past.map(({ protocolKey }) => protocolKey))];
  return keys.flatMap((protocolKey) => {
    const known = store.history
      .baselines(protocolKey)
      .filter((one) => KNOWN.includes(one.name) && one.functionalKey !== functionalKey)
      .map(({ name, ...key }) => ({ layer: name, ...key }));
    const protocol = printable(protocolKey);
    const all = curvesUnder(protocol, [{ layer: ITSELF, functionalKey }, ...known], store);
    const anchors = all.filter(({ curves }) => curves[0]?.layer === ITSELF);
    return anchors.length > 0 ? [{ protocol, anchors }] : [];
  });
}

/** How layers were trained under a protocol, as it is printed; without layers of which no curve is kept. */
export function curvesUnder(
  protocol: string,
  subjects: readonly Subject[],
  store: Store,
): AnchorCurves[] {
  const found = subjects.flatMap(({ layer, functionalKey }) => {
    if (functionalKey === null) return [];
    const past = store.history.ofFunction(functionalKey, { curves: true }).map(recordOf);
    const own = past.filter((record) => record.protocol === protocol);
    return meanCurves(own).map((curve) => ({ layer, ...curve }));
  });
  const firsts = found.filter(
    ({ anchor }, i) => found.findIndex((one) => one.anchor === anchor) === i,
  );
  return firsts.map(({ anchor, steps, losses: { length } }) => ({
    ...{ anchor: printable(anchor), steps },
    curves: found
      .filter((one) => one.anchor === anchor && one.steps === steps)
      .filter(({ losses }) => losses.length === length)
      .map(({ layer, evaluations, losses }) => ({ layer, evaluations, losses })),
  }));
}
