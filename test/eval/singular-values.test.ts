import { describe, expect, test } from 'vitest';
import { normalValues } from '../../src/eval/inspect-layer.ts';
import { singularValues } from '../../src/eval/singular-values.ts';

/** Rows of a matrix whose singular values are known: a diagonal one between random reflections. */
function matrixWith(values: readonly number[], seed: number): Float64Array[] {
  const n = values.length;
  let rows: Float64Array[] = values.map((value, i) =>
    Float64Array.from({ length: n }, (_, j) => (i === j ? value : 0)),
  );
  for (let k = 0; k < 3; k++) {
    rows = reflected(rows, normalValues(n, seed, k, 'left'));
    rows = reflected(transposed(rows), normalValues(n, seed, k, 'right'));
  }
  return rows;
}

const transposed = (rows: readonly Float64Array[]) =>
  rows.map((_, i) => Float64Array.from(rows, (row) => row[i]!));

/** (I − 2·v·vᵀ/vᵀv) times the matrix (Householder), column by column. */
function reflected(rows: readonly Float64Array[], v: Float64Array): Float64Array[] {
  const square = v.reduce((sum, a) => sum + a * a, 0);
  const along = rows[0]!.map((_, j) => rows.reduce((sum, row, i) => sum + v[i]! * row[j]!, 0));
  return rows.map((row, i) => row.map((a, j) => a - (2 * v[i]! * along[j]!) / square));
}

describe('singular values', () => {
  test.each([
    [[3, 2, 1]],
    [[5, 5, 5, 1e-3, 1e-3]],
    [[1, 1, 1, 1]],
    [[7]],
    [[1e150, 3e149, 1e140]],
    [Array.from({ length: 40 }, (_, i) => 40 - i)],
    [Array.from({ length: 25 }, (_, i) => 0.5 ** i)],
  ])('are those that the matrix was made with: %j', (values) => {
    for (const seed of [1, 2, 3]) {
      const found = singularValues(matrixWith(values, seed));
      expect(found).toHaveLength(values.length);
      for (const [i, value] of values.entries())
        expect(Math.abs(found[i]! - value)).toBeLessThan(1e-13 * values[0]! * values.length);
    }
  });

  test('of a matrix of lower rank are zero', () => {
    const found = singularValues(matrixWith([4, 2, 0, 0, 0], 9));
    expect(found[1]).toBeCloseTo(2, 12);
    expect(found.slice(2).every((value) => value < 1e-14)).toBe(true);
    expect(singularValues([new Float64Array(2), new Float64Array(2)])).toEqual([0, 0]);
  });

  test('leave the matrix as it was', () => {
    const rows = matrixWith([3, 1], 4);
    const before = rows.map((row) => [...row]);
    singularValues(rows);
    expect(rows.map((row) => [...row])).toEqual(before);
  });
});
