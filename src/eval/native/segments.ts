import { INSTRUCTIONS, type InstructionName } from './isa.ts';

/** A part of a program, and in how many calls to run it. Where there are several it is one instruction. */
export interface Segment {
  readonly program: Int32Array;
  readonly shares: number;
}

/** Where the fields of a tensor stand. */
const [HEIGHT, WIDTH, CHANNELS] = [1, 2, 3];

/** Words of a tensor. */
const TENSOR = 5;

/**
 * Nanoseconds per multiply-add, and per element of anything else: rough, and several times what a slow core takes,
 * since the first step has the system find memory for each element that it writes.
 */
const PER_PRODUCT = 0.2;
const PER_ELEMENT = 20;

/** Instructions that a machine runs as a whole. */
const WHOLE: ReadonlySet<InstructionName> = new Set([
  ...(['dense', 'denseGradient', 'loss', 'sgd', 'zero', 'small'] as const),
]);

/**
 * Cuts a program into calls of at most about `nanoseconds` each, between instructions and within those that take
 * longer: a thread can be stopped between two calls of the machine, not within one.
 */
export function segments(program: Int32Array, images: number, nanoseconds = 20e6): Segment[] {
  const pieces: Segment[] = [];
  let [start, spent] = [0, 0];
  const cut = (end: number, shares = 1) => {
    if (end > start) pieces.push({ program: program.subarray(start, end), shares });
    [start, spent] = [end, 0];
  };
  for (let at = 0; at < program.length; ) {
    const end = at + program[at + 1]!;
    const instruction = program.subarray(at, end);
    const cost = costOf(instruction, images);
    if (spent + cost > nanoseconds) cut(at);
    spent += cost;
    if (cost > nanoseconds && !WHOLE.has(nameOf(instruction)))
      cut(end, Math.min(images, Math.ceil(cost / nanoseconds)));
    at = end;
  }
  cut(program.length);
  return pieces;
}

const nameOf = (instruction: Int32Array): InstructionName => INSTRUCTIONS[instruction[0]!]!;

/** Nanoseconds that one instruction takes, at most. */
export function costOf(instruction: Int32Array, images: number): number {
  const fields = instruction.subarray(2);
  const name = nameOf(instruction);
  switch (name) {
    case 'conv':
    case 'dense': {
      const [x, y] = [fields, fields.subarray(TENSOR + (name === 'conv' ? 1 : 2))];
      const taps = name === 'conv' ? fields[2 * TENSOR + 1]! ** 2 : 1;
      return images * (products(y, x, taps) + PER_ELEMENT * elements(y));
    }
    case 'convInputGradient': {
      const [dy, dx] = [fields, fields.subarray(TENSOR + 1)];
      const taps = fields[2 * TENSOR + 1]! ** 2;
      return images * (products(dy, dx, taps) + PER_ELEMENT * elements(dx));
    }
    case 'convWeightGradient': {
      const [x, dy] = [fields, fields.subarray(TENSOR)];
      return images * products(dy, x, fields[2 * TENSOR + 1]! ** 2);
    }
    case 'denseGradient':
      return images * 2 * products(fields.subarray(TENSOR + 1), fields, 1);
    case 'sweep':
      return images * PER_ELEMENT * fields[0]! * fields[1]! * fields[2]!;
    case 'sgd':
      return PER_ELEMENT * fields[3]!;
    case 'zero':
      return PER_ELEMENT * fields[1]!;
    case 'small':
      return 0;
    default:
      return images * PER_ELEMENT * elements(fields);
  }
}

const elements = (tensor: Int32Array): number =>
  tensor[HEIGHT]! * tensor[WIDTH]! * tensor[CHANNELS]!;

/** Of a convolution from x to y. */
const products = (y: Int32Array, x: Int32Array, taps: number): number =>
  PER_PRODUCT * elements(y) * x[CHANNELS]! * taps;
