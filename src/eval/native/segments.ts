import { INSTRUCTIONS } from './isa.ts';

/** Where the fields of a tensor stand. */
const [HEIGHT, WIDTH, CHANNELS] = [1, 2, 3];

/** Nanoseconds per multiply-add of a convolution and per element of anything else, on a slow core: rough, and on the safe side. */
const PER_PRODUCT = 0.2;
const PER_ELEMENT = 20;

/**
 * Cuts a program, between instructions, into pieces of at most about `nanoseconds` each: a thread can be
 * stopped between two calls of the machine, not within one.
 */
export function segments(program: Int32Array, images: number, nanoseconds = 20e6): Int32Array[] {
  const pieces: Int32Array[] = [];
  let [start, spent] = [0, 0];
  for (let at = 0; at < program.length; at += program[at + 1]!) {
    const cost = images * costPerImage(program.subarray(at, at + program[at + 1]!));
    if (spent > 0 && spent + cost > nanoseconds) {
      pieces.push(program.subarray(start, at));
      [start, spent] = [at, 0];
    }
    spent += cost;
  }
  return [...pieces, program.subarray(start)];
}

/** Nanoseconds of one instruction, by the largest tensor that it names first. */
function costPerImage(instruction: Int32Array): number {
  const fields = instruction.subarray(2);
  const elements = fields[HEIGHT]! * fields[WIDTH]! * fields[CHANNELS]!;
  switch (INSTRUCTIONS[instruction[0]!]) {
    case 'conv':
      return elements * products(fields[6 + CHANNELS]!, fields[11]!, fields[12]!);
    case 'convInputGradient':
      return elements * products(fields[6 + CHANNELS]!, fields[11]!, 1);
    case 'convWeightGradient':
      return elements * products(fields[5 + CHANNELS]!, fields[11]!, fields[12]!);
    case 'sweep':
      return fields[0]! * fields[1]! * fields[2]! * PER_ELEMENT;
    case 'small':
    case 'sgd':
    case 'zero':
      return 0;
    default:
      return elements * PER_ELEMENT;
  }
}

/** Per element of the input (of the gradient, where the stride does not matter). */
const products = (channels: number, kernel: number, stride: number): number =>
  (PER_PRODUCT * channels * kernel ** 2) / stride ** 2;
