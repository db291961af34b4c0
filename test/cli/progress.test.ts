import { PassThrough } from 'node:stream';
import { describe, expect, test, vi } from 'vitest';
import type { Run } from '../../db/runs.ts';
import type { Settled } from '../../db/store.ts';
import { progressDisplay } from '../../src/cli/progress.ts';
import { genomeOf } from '../../src/graph/genome.ts';
import { parseLayer } from '../../src/graph/text.ts';
import { addToFunnel, countFunnel } from '../../src/search/progress.ts';
import type { Progress, SearchEvent } from '../../src/search/run.ts';

const genome = genomeOf(parseLayer('tanh(x) / rms[whc](x)'));
const settled: Settled = {
  index: 3,
  genome,
  structuralKey: 's',
  functionalKey: 'f',
  origin: { kind: 'random' },
  tier: null,
  repeat: 0,
  outcome: { outcome: 'evaluated', perAnchor: [] },
  fitness: 0.75,
  seconds: 1,
};
const rejected: Settled = {
  ...settled,
  index: 4,
  repeat: null,
  tier: 'functional',
  outcome: { outcome: 'constant' },
  fitness: null,
};
const progress: Progress = {
  counts: addToFunnel(countFunnel([]), [settled, rejected, rejected]),
  total: 63,
  inFlight: 5,
  best: { index: 3, genome, fitness: 0.75 },
  seconds: 20,
  proposalsPerSecond: 0.5,
  evaluationsPerSecond: 0.25,
};
const EVENTS: SearchEvent[] = [
  { type: 'started', run: { id: 2 } as Run, workers: 4, progress },
  { type: 'baseline', name: 'BN-ReLU', candidate: { ...settled, fitness: 0.5 } },
  { type: 'baseline', name: 'ReLU', candidate: rejected },
  { type: 'retried', index: 7, message: 'out of memory' },
  { type: 'committed', candidates: [settled, rejected, rejected], progress },
];

/** What a display writes to a terminal, or to what is none. */
function shown(isTTY: boolean): string {
  const stream = Object.assign(new PassThrough(), { isTTY, columns: 160, rows: 40 });
  let text = '';
  stream.on('data', (chunk: Buffer) => {
    text += chunk.toString();
  });
  const stderr = vi.spyOn(process.stderr, 'write').mockImplementation((chunk) => {
    text += chunk;
    return true;
  });
  const display = progressDisplay(stream as unknown as NodeJS.WriteStream);
  for (const event of EVENTS) display.onEvent(event);
  display.end();
  stderr.mockRestore();
  return text;
}

describe('the progress of a search', () => {
  test('on a terminal is one screen that is drawn again', () => {
    const last = shown(true).split('run 2').at(-1)!;
    expect(last).toContain('3 of 63 proposals  2:00 left');
    expect(last).toContain('constant 2, evaluated 1');
    expect(last).toContain('2 hits (0 structural, 2 functional)');
    expect(last).toContain('0.5 proposals/s, 0.25 trained/s, 4 workers, 5 in flight');
    expect(last).toContain('75.00 %  r2-3  tanh(x) / rms[whc](x)');
    expect(last).toContain('BN-ReLU 50.00 %, ReLU rejected');
  });

  test('elsewhere is plain lines without control sequences', () => {
    const text = shown(false);
    expect(text).not.toContain('\u001b');
    expect(text.trim().split('\n')).toEqual([
      'run 2: 4 workers',
      'BN-ReLU: 50.00 %',
      'ReLU: rejected',
      'proposal 7: the worker failed and is tried again (out of memory)',
      '3 of 63 proposals, 1 trained, 2 cache hits, best 75.00 %, 0.5/s, 2:00 left',
    ]);
  });
});
