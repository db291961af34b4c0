import { expect, test } from 'vitest';
import { below, fillNormal, randomStream, shuffle } from '../../src/eval/random.ts';

const draw = (...key: (string | number)[]) => {
  const rng = randomStream(...key);
  return Array.from({ length: 4 }, () => rng.next());
};

test('a stream depends on its whole key and on nothing else', () => {
  expect(draw('a', 1)).toEqual(draw('a', 1));
  const streams = [draw('a', 1), draw('a', 2), draw('b', 1), draw('a', '1'), draw('a1')];
  expect(new Set(streams.map(String)).size).toBe(streams.length);
});

test('streams are pinned, for stored seeds must mean the same in later versions', () => {
  expect(draw('pinned', 7)).toMatchInlineSnapshot(`
    [
      -131145338,
      -1899402212,
      948885410,
      1506983339,
    ]
  `);
});

test('below reaches every number, evenly', () => {
  const rng = randomStream('below');
  const counts = new Array(5).fill(0);
  for (let i = 0; i < 10_000; i++) counts[below(5, rng)]++;
  for (const count of counts) expect(Math.abs(count - 2000)).toBeLessThan(200);
});

test('shuffle permutes, and takes every value to every place', () => {
  const seen = new Set<string>();
  for (let i = 0; i < 200; i++) {
    const values = [0, 1, 2, 3];
    shuffle(values, randomStream('shuffle', i));
    expect([...values].sort()).toEqual([0, 1, 2, 3]);
    values.forEach((value, place) => {
      seen.add(`${value} at ${place}`);
    });
  }
  expect(seen.size).toBe(16);
});

test('normal values have the moments and tails of a normal distribution', () => {
  const values = new Float32Array(100_001);
  fillNormal(values, 2, randomStream('normal'));
  const mean = (power: number) =>
    values.reduce((sum, v) => sum + (v / 2) ** power, 0) / values.length;
  expect(Math.abs(mean(1))).toBeLessThan(0.02);
  expect(mean(2)).toBeCloseTo(1, 1);
  expect(Math.abs(mean(3))).toBeLessThan(0.05);
  expect(Math.abs(mean(4) - 3)).toBeLessThan(0.1);
  expect(values.filter((v) => Math.abs(v) > 4).length / values.length).toBeCloseTo(0.0455, 2);
});
