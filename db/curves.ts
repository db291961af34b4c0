import { inFourDigits } from '../src/eval/curve.ts';

/* Training curves as the database keeps them: losses in single precision, four bytes each, the lowest first. */

export function encodeCurve(losses: readonly number[]): Buffer {
  const bytes = Buffer.alloc(4 * losses.length);
  for (const [i, loss] of losses.entries()) bytes.writeFloatLE(loss, 4 * i);
  return bytes;
}

/** Gives the very numbers back that were encoded: single precision keeps their four digits. */
export const decodeCurve = (bytes: Buffer): number[] =>
  Array.from({ length: Math.floor(bytes.length / 4) }, (_, i) =>
    inFourDigits(bytes.readFloatLE(4 * i)),
  );
