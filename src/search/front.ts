import { dominates } from './select.ts';

/** A scored candidate, as the front sees it. */
export interface FrontMember {
  readonly index: number;
  readonly functionalKey: string;
  /** Per anchor, in the protocol's order. */
  readonly accuracies: readonly number[];
}

/** The functions of a run that no other one dominates, each by its first candidate. Grows with the front alone. */
export class ParetoFront {
  #members: FrontMember[] = [];

  get members(): readonly FrontMember[] {
    return this.#members;
  }

  add(member: FrontMember): void {
    const { functionalKey } = member;
    if (this.#members.some((m) => m.functionalKey === functionalKey || dominates(m, member)))
      return;
    this.#members = this.#members.filter((m) => !dominates(member, m));
    this.#members.push(member);
  }

  /** The best accuracy per anchor; empty where the front is. */
  extremes(): number[] {
    const [first] = this.#members;
    if (!first) return [];
    return first.accuracies.map((_, i) =>
      this.#members.reduce((top, { accuracies }) => Math.max(top, accuracies[i]!), 0),
    );
  }
}
