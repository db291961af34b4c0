/** A candidate's place: its run, and its index there. */
export interface CandidatePlace {
  readonly run: number;
  readonly index: number;
}

/** The name by which users know a candidate: `r3-128` is proposal 128 of run 3. It never changes, and is no formula. */
export const candidateId = ({ run, index }: CandidatePlace): string => {
  if (index < 0) throw new Error('internal: baselines are known by their names');
  return `r${run}-${index}`;
};

/** The place that `text` names; null where it is no candidate's id. */
export function parseCandidateId(text: string): CandidatePlace | null {
  const match = /^r([1-9]\d{0,14})-(0|[1-9]\d{0,14})$/.exec(text);
  return match && { run: Number(match[1]), index: Number(match[2]) };
}
