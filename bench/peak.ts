import { exercise, type Variant } from '../src/eval/native/machine.ts';
import { repetitions } from './measure.ts';

const SAMPLE_MS = 5;

/** The most multiply-adds per second that this core does at the moment; measured anew with every call. */
export function peakOf(variant: Variant): () => number {
  const iterations = repetitions((count) => exercise(variant, 1000 * count), SAMPLE_MS) * 1000;
  return () => {
    const start = performance.now();
    const products = exercise(variant, iterations);
    return (1000 * products) / (performance.now() - start);
  };
}
