import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Run } from '../../db/runs.ts';
import type { Settled, Store } from '../../db/store.ts';
import type { Outcome } from '../../src/eval/outcome.ts';

/** A folder that is gone when the work is done. */
export async function inFolder<T>(work: (folder: string) => T | Promise<T>): Promise<T> {
  const folder = mkdtempSync(join(tmpdir(), 'evolayer-'));
  try {
    return await work(folder);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

export const PROTOCOL = { key: 'p1', protocol: { steps: 300 } };
export const TIME = { seconds: 1, at: '2026-01-01T00:00:00.000Z' };

export const beginRun = (store: Store, protocolKey = PROTOCOL.key): Run =>
  store.begin({
    started: '2026-01-01T00:00:00.000Z',
    config: { seed: 7, cache: { mantissaBits: 20 } },
    protocolKey,
    protocol: PROTOCOL.protocol,
  });

export const evaluated = (...accuracies: number[]): Outcome => ({
  outcome: 'evaluated',
  perAnchor: accuracies.map((accuracy, i) => ({
    ...{ anchor: `anchor-${i}`, accuracy, loss: 1 - accuracy, steps: 300, seconds: 2 },
  })),
});

/** A proposal that was evaluated; its keys follow from its index unless told. Without repeat it caused no evaluation. */
export function settled(
  index: number,
  { repeat = 0, ...changes }: Partial<Settled> & { repeat?: number | null } = {},
): Settled {
  const outcome = changes.outcome ?? evaluated(0.5, 0.7);
  const accuracies = outcome.outcome === 'evaluated' ? outcome.perAnchor : [];
  const mean = accuracies.reduce((sum, { accuracy }) => sum + accuracy, 0) / accuracies.length;
  return {
    index,
    genome: { nodes: [{ op: 'mul', args: [0, 3] }] },
    structuralKey: `s${index}`,
    functionalKey: `f${index}`,
    origin: { kind: 'random' },
    tier: null,
    evaluations: changes.functionalKey === null ? null : 1,
    evaluation: repeat === null ? null : { repeat, outcome, seconds: 2 },
    audit: null,
    fitness: accuracies.length ? mean : null,
    ...changes,
    outcome,
  };
}
