import { PassThrough } from 'node:stream';
import { afterEach, describe, expect, test, vi } from 'vitest';
import { type Clock, plainPause, progressDisplay } from '../../src/cli/progress.ts';
import { bytes, duration, rate } from '../../src/format.ts';
import { COMMITTED, EVENTS, progress, STARTED } from './events.ts';

/** A clock that stands still until it is moved, and then ticks as often as it should, or sleeps. */
function fakeClock() {
  let time = 1000;
  let work = () => {};
  const clock: Clock = {
    now: () => time,
    every: (_, tick) => {
      work = tick;
      return () => {
        work = () => {};
      };
    },
  };
  const pass = (seconds: number) => {
    for (let s = 0; s < seconds; s++) {
      time++;
      work();
    }
  };
  const sleep = (seconds: number) => {
    time += seconds;
    work();
  };
  return { clock, pass, sleep };
}

/** A display on a terminal, or on what is none, with all that it writes. */
function shownOn({ isTTY, columns = 160 }: { isTTY: boolean; columns?: number }) {
  const stream = Object.assign(new PassThrough(), { isTTY, columns, rows: 40 });
  let text = '';
  const write = (chunk: string | Uint8Array) => {
    text += chunk.toString();
    return true;
  };
  stream.on('data', write);
  vi.spyOn(process.stderr, 'write').mockImplementation(write);
  const { clock, pass, sleep } = fakeClock();
  const display = progressDisplay({
    stream: stream as unknown as NodeJS.WriteStream,
    ...{ clock, memory: () => ({ own: 123e6, children: 1.5e9 }) },
  });
  const lines = () => text.trim().split('\n');
  const lastFrame = () => text.split('run 2').at(-1)!;
  return { display, pass, sleep, lines, lastFrame, text: () => text };
}

afterEach(() => {
  vi.restoreAllMocks();
});

describe('the progress of a search', () => {
  test('on a terminal is one screen that is drawn again', () => {
    const { display, pass, lastFrame } = shownOn({ isTTY: true });
    display.onEvent(STARTED);
    pass(20);
    for (const event of EVENTS) display.onEvent(event);
    display.end();
    const last = lastFrame();
    // 60 to go, at 3 in 20 s.
    expect(last).toContain('3 of 63 proposals  6:40 left');
    expect(last).toContain('constant 2, evaluated 1');
    expect(last).toContain('2 hits (0 structural, 2 functional)');
    expect(last).toContain('9.0/min proposals, 3.0/min trained lately; 4 workers, 5 in flight');
    expect(last).toContain('best 75.00 % (+25.00 points to BN-ReLU)  r2-0  tanh(x) / rms[whc](x)');
    expect(last).toContain('BN-ReLU 50.00 %, ReLU rejected');
    expect(last).toContain('1 layer: wide up to 70.00 %, deep up to 80.00 %');
    expect(last).toContain('0:20 in this session, 2:00 on the run');
    expect(last).toContain('memory 123 MB + 1.5 GB; 1 fault');
  });

  test('elsewhere is plain lines without control sequences', () => {
    const { display, pass, lines, text } = shownOn({ isTTY: false });
    display.onEvent(STARTED);
    for (const event of EVENTS.slice(0, 3)) display.onEvent(event);
    pass(9);
    display.onEvent(COMMITTED);
    pass(1);
    display.end();
    expect(text()).not.toContain('\u001b');
    expect(lines()).toEqual([
      'run 2: 4 workers',
      'BN-ReLU: 50.00 %',
      'ReLU: rejected',
      'proposal 7: out of memory',
      '3 of 63 proposals, 1 trained, 2 cache hits, best 75.00 % (+25.00 points to BN-ReLU), front 1, 1 fault, 18.0/min, 123 MB + 1.5 GB, 3:20 left',
    ]);
  });

  test('is plain lines too on a terminal that does not know its size', () => {
    const { display, lines, text } = shownOn({ isTTY: true, columns: 0 });
    display.onEvent(STARTED);
    for (const event of EVENTS) display.onEvent(event);
    display.end();
    expect(text()).not.toContain('\u001b');
    expect(lines().at(-1)).toMatch(/^3 of 63 proposals, /);
  });

  test('names every condition that can end the run, and the time left to the nearest', () => {
    const { display, pass, lines } = shownOn({ isTTY: false });
    const stop = { proposals: 63, evaluations: 9, seconds: 150, patience: 50, fitness: 0.9 };
    const config = { ...(STARTED.run.config as object), stop };
    display.onEvent({ ...STARTED, run: { ...STARTED.run, config } });
    pass(9);
    display.onEvent(COMMITTED);
    pass(1);
    expect(lines().at(-1)).toMatch(
      /^3 of 63 proposals, 1 of 9 evaluations, 2:01 of 2:30, 2 of 50 without a better, target 90\.00 %, .* 0:29 left$/,
    );
  });

  test('at 0 proposals knows no rate and no end', () => {
    const { display, pass, lines } = shownOn({ isTTY: false });
    display.onEvent(STARTED);
    pass(10);
    expect(lines().at(-1)).toBe(
      '0 of 63 proposals, 0 trained, 0 cache hits, best none yet, front 0, 0/s, 123 MB + 1.5 GB, ? left',
    );
  });

  test('comes more rarely with time, and also while nothing happens', () => {
    const { display, pass, lines } = shownOn({ isTTY: false });
    const linesIn = (seconds: number) => {
      const before = lines().length;
      pass(seconds);
      return lines().length - before;
    };
    display.onEvent(STARTED);
    expect([linesIn(120), linesIn(3480), linesIn(86_400)]).toEqual([11, 58, 144]);
    expect([0, 119, 120, 3599, 3600, 1e6].map(plainPause)).toEqual([10, 10, 60, 60, 600, 600]);
  });

  test('says how slow it became, and does not count the time that the machine slept', () => {
    const rateOf = (wait: 'pass' | 'sleep') => {
      const shown = shownOn({ isTTY: false });
      shown.display.onEvent(STARTED);
      shown.pass(3);
      shown.display.onEvent(COMMITTED);
      shown[wait](36_000);
      return shown.lines().at(-1)!.split(', ').at(-3);
    };
    expect(rateOf('sleep')).toBe('1.0/s');
    expect(rateOf('pass')).toBe('7.2/day');
  });

  test('after a resume begins with what the database has', () => {
    const { clock, pass } = fakeClock();
    const text: string[] = [];
    vi.spyOn(process.stderr, 'write').mockImplementation((line) => text.push(String(line)) > 0);
    const stats = {
      baselines: () => [
        { index: -1, name: 'DyT', outcome: 'evaluated', fitness: 0.8, perAnchor: [] } as const,
      ],
      scored: () => ({
        anchors: ['a', 'b'],
        functions: [...'abcd'].map((functionalKey, index) => ({
          ...{ index, functionalKey, fitness: 0.5 },
          // The last one is worse than the third.
          accuracies: [0.1 * (Math.min(index, 2) + 1), 0.9 - 0.1 * index],
        })),
      }),
    };
    const stream = { isTTY: false } as NodeJS.WriteStream;
    const faults = { ofRun: () => [1, 2] };
    const history = { stats, faults } as unknown as NonNullable<
      Parameters<typeof progressDisplay>[0]
    >['history'];
    const display = progressDisplay({ stream, clock, history: history ?? null });
    display.onEvent({ ...STARTED, progress });
    pass(10);
    display.end();
    expect(text.at(-1)).toMatch(
      /^3 of 63 .* best 75\.00 % \(−5\.00 points to DyT\), front 3, 2 faults, 0\/s, .*, \? left$/m,
    );
  });
});

test.each([
  [0, '0:00'],
  [59.6, '1:00'],
  [754, '12:34'],
  [3 * 3600 + 131, '3:02:11'],
  [86_400, '1d 00:00:00'],
  [40 * 86_400 + 5 * 3600 + 61, '40d 05:01:01'],
  [Number.POSITIVE_INFINITY, '?'],
])('%d seconds are %s', (seconds, text) => {
  expect(duration(seconds)).toBe(text);
});

test('rates and sizes have the unit in which they say something', () => {
  expect([0, 12, 0.5, 1 / 60, 1 / 3600, 1e-6].map(rate)).toEqual(
    '0/s 12.0/s 30.0/min 1.0/min 1.0/h 0.1/day'.split(' '),
  );
  expect([0, 999, 1500, 2.34e6, 123.4e6, 3.2e9].map(bytes)).toEqual([
    ...['0 kB', '1 kB', '2 kB', '2.3 MB', '123 MB', '3.2 GB'],
  ]);
});
