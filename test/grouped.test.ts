import fc from 'fast-check';
import { expect, test } from 'vitest';
import { grouped } from '../src/grouped.ts';

test('numbers are grouped as in English', () => {
  const english = (value: number) => value.toLocaleString('en-US', { maximumFractionDigits: 20 });
  const numbers = fc.oneof(
    fc.integer(),
    fc.maxSafeInteger(),
    fc.integer().map((n) => n / 16),
  );
  fc.assert(
    fc.property(numbers, (value) => {
      expect(grouped(value)).toBe(english(value));
    }),
  );
});
