import { afterAll, beforeAll, expect } from 'vitest';
import {
  BACKENDS,
  type Backend,
  type LoadedBackend,
  loadBackend,
} from '../../../src/eval/tfjs/backends.ts';

const wanted = process.env.EVOLAYER_TFJS;

/** What this run tests: wasm and cpu, which are always there, in short; or at length what $EVOLAYER_TFJS names. */
export const TESTED: readonly Backend[] = (wanted ?? 'wasm,cpu').split(',').map((name) => {
  const backend = BACKENDS.find((known) => known === name);
  if (backend) return backend;
  throw new Error(`$EVOLAYER_TFJS names ${name}; the backends are ${BACKENDS.join(', ')}`);
});

/** How many random cases to try. */
export const cases = (short: number, long: number): number => (wanted === undefined ? short : long);

/** True for backends that train small networks in milliseconds: not JavaScript, nor WebGPU on a processor. */
export const isFast = (backend: Backend): boolean => backend !== 'cpu' && backend !== 'webgpu';

/** Loads a backend for the tests of a suite, which must leave as many tensors as they found; what it returns gives it. */
export function loadedFor(backend: Backend): () => LoadedBackend['tf'] {
  let loaded: LoadedBackend['tf'];
  let before: number;
  beforeAll(async () => {
    ({ tf: loaded } = await loadBackend(backend));
    before = loaded.memory().numTensors;
  });
  afterAll(() => {
    expect(loaded.memory().numTensors).toBe(before);
  });
  return () => loaded;
}
