import { Writable } from 'node:stream';
import { getHeapStatistics, setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { expect, onTestFinished, test } from 'vitest';
import type { Settled } from '../../db/store.ts';
import { openLog } from '../../src/cli/log.ts';
import { type Clock, progressDisplay } from '../../src/cli/progress.ts';
import { below, randomStream } from '../../src/eval/random.ts';
import { addToFunnel, better } from '../../src/search/progress.ts';
import type { Progress, SearchEvent } from '../../src/search/run.ts';
import { progress, STARTED, settled } from './events.ts';

setFlagsFromString('--expose-gc');
const collectGarbage: () => void = runInNewContext('gc');

function heapInUse(): number {
  collectGarbage();
  return getHeapStatistics().used_heap_size;
}

/** A run that never ends: candidates with scores on two anchors, a fault now and then. */
function* events(count: number): Generator<SearchEvent> {
  const rng = randomStream('memory');
  let now: Progress = { ...progress, best: null };
  for (let index = 0; index < count; index++) {
    const accuracies = [below(2000, rng) / 2000, below(2000, rng) / 2000];
    const candidate: Settled = {
      ...settled,
      ...{ index, functionalKey: `f${index}`, structuralKey: `s${index}` },
      genome: { nodes: [...settled.genome.nodes] },
      outcome: {
        outcome: 'evaluated',
        perAnchor: accuracies.map((accuracy, i) => ({
          ...{ anchor: `a${i}`, accuracy, loss: 0, steps: 1, seconds: 1 },
        })),
      },
      fitness: (accuracies[0]! + accuracies[1]!) / 2,
    };
    now = {
      ...now,
      counts: addToFunnel(now.counts, [candidate]),
      best: better(now.best, candidate),
      seconds: index,
    };
    if (index % 100 === 0) yield { type: 'fault', index, kind: 'thread', message: `gone ${index}` };
    yield { type: 'committed', candidates: [candidate], progress: now };
  }
}

const WARM_UP = 10_000;
const EVENTS = 100_000;

/** By how much the heap grows over 100,000 events, after the first 10,000. */
function growth(watch: (event: SearchEvent) => void): number {
  let start = 0;
  let seen = 0;
  for (const event of events(WARM_UP + EVENTS)) {
    watch(event);
    if (++seen === WARM_UP) start = heapInUse();
  }
  return heapInUse() - start;
}

/** A clock that moves between events, and ticks. */
function movingClock(seconds: number) {
  let time = 0;
  let tick = () => {};
  const clock: Clock = {
    now: () => time,
    every: (_, work) => {
      tick = work;
      return () => {};
    },
  };
  const move = () => {
    time += seconds;
    tick();
  };
  return { clock, move };
}

// A live display draws ten times a second, which is what takes the time here.
test.each([
  ['live', 0.01],
  ['plain', 2],
] as const)('the %s display does not grow with the run', (kind, seconds) => {
  const { clock, move } = movingClock(seconds);
  const sink = new Writable({ write: (_chunk, _encoding, done) => done() });
  const stream = Object.assign(sink, { isTTY: kind === 'live', columns: 120, rows: 40 });
  const { write } = process.stderr;
  process.stderr.write = () => true;
  onTestFinished(() => {
    process.stderr.write = write;
  });
  const display = progressDisplay({
    ...{ clock, stream: stream as unknown as NodeJS.WriteStream },
    memory: () => ({ own: 1e8, children: null }),
  });
  display.onEvent(STARTED);
  const grown = growth((event) => {
    move();
    display.onEvent(event);
  });
  display.end();
  expect(grown).toBeLessThan(1e6);
});

test('the log does not grow with the run, nor where nothing can be written', () => {
  let lines = 0;
  const ways = [
    (text: string) => {
      lines++;
      return Buffer.byteLength(text);
    },
    () => {
      throw Object.assign(new Error('ENOSPC: full'), { code: 'ENOSPC' });
    },
  ];
  for (const way of ways) {
    const log = openLog({
      ...{ file: '/dev/null', level: 'trace', say: () => {} },
      write: (_, text) => way(text),
    });
    log.onEvent(STARTED);
    const grown = growth(log.onEvent);
    log.close();
    expect(grown).toBeLessThan(1e6);
  }
  // The candidate and its commit, 1,100 faults, a few bests, and the beginning.
  expect(lines).toBeGreaterThan(2.01 * (WARM_UP + EVENTS));
});
