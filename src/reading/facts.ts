import type { Dossier } from './dossier.ts';

/** A fact in words, as the command and the page both say it. */
export type Fact = readonly [name: string, value: string];

/** What is described of a `Dossier`. A page, which has it as JSON, knows names as text. */
interface Described
  extends Pick<Dossier, 'zooName' | 'batchIndependent' | 'liveNodes'>,
    Pick<Dossier, 'functionalKey' | 'structuralKey'> {
  readonly candidate: Proposed | null;
}

interface Proposed {
  readonly id: string;
  readonly parent: string | null;
  readonly origin: string;
  readonly outcome: string;
  readonly description: string;
  readonly tier: string | null;
  readonly repeat: number | null;
  readonly evaluations: number | null;
  readonly protocol: string;
}

/** What a layer is and, where a run proposed it, how it came about and what its outcome rests on. */
export function describeFacts(dossier: Described): readonly Fact[] {
  const { candidate } = dossier;
  const facts: readonly Fact[] = [
    ['in the zoo', dossier.zooName ?? 'no'],
    [
      'series',
      dossier.batchIndependent ? 'S (does not depend on the batch)' : 'B (batch-dependent)',
    ],
    ['live nodes', String(dossier.liveNodes)],
    ['functional key', dossier.functionalKey ?? 'none: not finite, or constant'],
    ['structural key', dossier.structuralKey],
  ];
  if (!candidate) return facts;
  const { parent, origin, outcome, description } = candidate;
  return [
    ...facts,
    ['id', candidate.id],
    ['made as', parent === null ? `${origin} graph` : `mutation of ${parent}`],
    ['outcome', `${outcome}: ${description}`],
    ...describeBasis(candidate),
    ['protocol', candidate.protocol],
  ];
}

/** What an outcome rests on, where that is not one evaluation of its own. */
function describeBasis({ tier, repeat, evaluations }: Proposed): Fact[] {
  if (evaluations === null || (evaluations === 1 && repeat !== null)) return [];
  const count = evaluations === 1 ? '1 evaluation' : `${evaluations} evaluations`;
  if (repeat !== null) return [['rests on', `${count}, the last one its own`]];
  return [['rests on', `${count} of the same ${tier === 'structural' ? 'graph' : 'function'}`]];
}
