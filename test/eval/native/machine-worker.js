import { createHash } from 'node:crypto';
import { parentPort } from 'node:worker_threads';
import { ProgramWriter } from '../../../dist/src/eval/native/encode.js';
import { chooseVariant, Machine } from '../../../dist/src/eval/native/machine.js';

/** Runs a convolution many times on several machines, closes none of them, and posts a digest of the results. */
const digest = createHash('sha256');
for (let k = 0; k < 4; k++) {
  const machine = new Machine(chooseVariant(), 1 << 18, 4);
  const arena = new Float32Array(machine.arena);
  for (let i = 0; i < arena.length; i++) arena[i] = ((i * 37) % 101) / 100 - 0.5;
  const shape = { height: 10, width: 10, channels: 16, halo: 1 };
  const [x, y] = [
    { ...shape, offset: 0 },
    { ...shape, offset: 1 << 16 },
  ];
  const writer = new ProgramWriter();
  writer.instruction('conv', x, 1 << 17, y, 3, 1, 0, y);
  writer.instruction('convWeightGradient', x, y, 1 << 17, 3, 1);
  const program = machine.prepare(writer.finish(0));
  for (let step = 0; step < 50; step++) machine.run(program, 4);
  digest.update(new Uint8Array(machine.arena));
}
parentPort.postMessage(digest.digest('hex'));
