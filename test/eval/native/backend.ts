import { lanesOf, Machine, type Variant } from '../../../src/eval/native/machine.ts';
import type { Backend } from './compare.ts';

/** Runs programs on the kernels of `variant`. */
export const backendOf = (variant: Variant): Backend => ({
  lanes: lanesOf(variant),
  machine: (floats, images) => {
    const machine = new Machine(variant, floats, images);
    return {
      arena: new Float32Array(machine.arena),
      run: (program) => machine.run(machine.prepare(program), images),
    };
  },
});
