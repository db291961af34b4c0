import { arch, availableParallelism, cpus, totalmem } from 'node:os';
import type { Variant } from '../src/eval/native/machine.ts';
import { peakOf } from './peak.ts';

/** What figures of this machine mean: its processor, and how fast one core multiplies and adds. */
export function describeMachine(variant: Variant): string {
  const model = cpus()[0]?.model ?? 'unknown processor';
  const memory = Math.round(totalmem() / 2 ** 30);
  const peak = peakOf(variant);
  const gigaflops = Math.max(...Array.from({ length: 5 }, () => (2 * peak()) / 1e9));
  return [
    `${model}, ${availableParallelism()} cores, ${arch()}, ${memory} GB`,
    `kernels: ${variant}; peak of one core ${gigaflops.toFixed(0)} GFLOP/s; Node ${process.version}`,
  ].join('\n');
}
