// The events of a small search, for what watches one.
import type { Run } from '../../db/runs.ts';
import type { Settled } from '../../db/store.ts';
import type { Outcome } from '../../src/eval/outcome.ts';
import { genomeOf } from '../../src/graph/genome.ts';
import { parseLayer } from '../../src/graph/text.ts';
import { addToFunnel, countFunnel } from '../../src/search/progress.ts';
import type { Progress, SearchEvent } from '../../src/search/run.ts';

const genome = genomeOf(parseLayer('tanh(x) / rms[whc](x)'));
const outcome: Outcome = {
  outcome: 'evaluated',
  perAnchor: [0.7, 0.8].map((accuracy, i) => ({
    ...{ anchor: `a${i}`, accuracy, loss: 0, steps: 1, seconds: 1 },
  })),
};
export const settled: Settled = {
  index: 3,
  genome,
  structuralKey: 's',
  functionalKey: 'f',
  origin: { kind: 'random' },
  tier: null,
  outcome,
  evaluations: 1,
  evaluation: { repeat: 0, outcome, seconds: 1 },
  audit: null,
  fitness: 0.75,
};
export const rejected: Settled = {
  ...settled,
  index: 4,
  evaluation: null,
  tier: 'functional',
  outcome: { outcome: 'constant' },
  fitness: null,
};
export const NOTHING: Progress = {
  ...{ counts: countFunnel([]), total: 63, inFlight: 5, best: null, seconds: 100 },
};
export const progress: Progress = {
  ...NOTHING,
  counts: addToFunnel(countFunnel([]), [settled, rejected, rejected]),
  best: { index: 0, genome, fitness: 0.75 },
  seconds: 120,
};
const run = {
  id: 2,
  protocolKey: 'p',
  config: { stop: { proposals: 63 }, protocol: { anchors: ['wide', 'deep'] } },
} as unknown as Run;
export const STARTED: Extract<SearchEvent, { type: 'started' }> = {
  type: 'started',
  run,
  workers: 4,
  progress: NOTHING,
};
export const COMMITTED: SearchEvent = {
  ...{ type: 'committed', candidates: [settled, rejected, rejected] },
  progress,
};
export const EVENTS: SearchEvent[] = [
  { type: 'baseline', name: 'BN-ReLU', candidate: { ...settled, index: -2, fitness: 0.5 } },
  { type: 'baseline', name: 'ReLU', candidate: { ...rejected, index: -1 } },
  { type: 'fault', index: 7, kind: 'thread', message: 'out of memory' },
  COMMITTED,
];
