/** Below this cosine two rows count as orthogonal. */
const ORTHOGONAL = 1e-13;
const MOST_SWEEPS = 60;

/**
 * The singular values of a matrix, given as its rows, in descending order: Jacobi's method from one side
 * (Hestenes 1958), which turns pairs of rows until all are orthogonal. Unlike the eigenvalues of the matrix
 * times its transpose it tells small values from zero. All entries must be finite.
 */
export function singularValues(matrix: readonly Float64Array[]): number[] {
  const scale = matrix.reduce(
    (most, row) => row.reduce((a, b) => Math.max(a, Math.abs(b)), most),
    0,
  );
  if (scale === 0) return matrix.map(() => 0);
  const rows = matrix.map((row) => row.map((a) => a / scale));
  for (let sweeps = 0; sweepOnce(rows); sweeps++)
    if (sweeps === MOST_SWEEPS) throw new Error('internal: singular values do not converge');
  return rows.map((row) => scale * Math.sqrt(dot(row, row))).sort((a, b) => b - a);
}

/** Turns every pair of rows so that they are orthogonal; false where all were. */
function sweepOnce(rows: readonly Float64Array[]): boolean {
  const squares = rows.map((row) => dot(row, row));
  let turned = false;
  for (let i = 0; i < rows.length; i++)
    for (let j = i + 1; j < rows.length; j++) {
      const [a, b] = [squares[i]!, squares[j]!];
      const product = dot(rows[i]!, rows[j]!);
      if (Math.abs(product) <= ORTHOGONAL * Math.sqrt(a * b)) continue;
      const ratio = (b - a) / (2 * product);
      const tangent = (ratio < 0 ? -1 : 1) / (Math.abs(ratio) + Math.hypot(1, ratio));
      turn(rows[i]!, rows[j]!, tangent);
      squares[i] = Math.max(0, a - tangent * product);
      squares[j] = b + tangent * product;
      turned = true;
    }
  return turned;
}

function turn(a: Float64Array, b: Float64Array, tangent: number): void {
  const cosine = 1 / Math.hypot(1, tangent);
  const sine = cosine * tangent;
  for (let k = 0; k < a.length; k++) {
    const [p, q] = [a[k]!, b[k]!];
    a[k] = cosine * p - sine * q;
    b[k] = sine * p + cosine * q;
  }
}

function dot(a: Float64Array, b: Float64Array): number {
  let sum = 0;
  for (let k = 0; k < a.length; k++) sum += a[k]! * b[k]!;
  return sum;
}
