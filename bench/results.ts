/** What one contender did in one case. */
export interface Result {
  readonly group: string;
  readonly case: string;
  readonly contender: string;
  /** Of the samples and their median; times where smaller is better, rates otherwise. */
  readonly unit: string;
  /** Null where the contender is missing. */
  readonly median: number | null;
  readonly samples: readonly number[];
  /** Why there are no samples. */
  readonly missing?: string;
}

/** The results of one group, by case and contender. */
export class Results {
  readonly group: string;
  readonly all: Result[] = [];
  /** What the table does not say by itself. */
  readonly notes: string[] = [];

  constructor(group: string) {
    this.group = group;
  }

  get cases(): string[] {
    return [...new Set(this.all.map((result) => result.case))];
  }

  /** The median; NaN where the contender is missing or did not take part. */
  median(name: string, contender: string): number {
    return this.find(name, contender)?.median ?? Number.NaN;
  }

  find(name: string, contender: string): Result | undefined {
    return this.all.find((result) => result.case === name && result.contender === contender);
  }

  /** By contender, why it took no part in some case. */
  missing(): Map<string, Set<string>> {
    const reasons = new Map<string, Set<string>>();
    for (const { contender, missing } of this.all)
      if (missing !== undefined)
        reasons.set(contender, (reasons.get(contender) ?? new Set()).add(missing));
    return reasons;
  }
}
