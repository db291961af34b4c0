import {
  INSTRUCTIONS,
  type InstructionName,
  OPERAND_KINDS,
  type OperandKind,
  RECORDS,
  type RecordName,
} from './isa.ts';

/** Where a tensor stands in the arena; see isa.ts. */
export interface Tensor {
  readonly offset: number;
  readonly height: number;
  readonly width: number;
  readonly channels: number;
  readonly halo: number;
}

export const tensorWords = (t: Tensor): number[] => [
  t.offset,
  t.height,
  t.width,
  t.channels,
  t.halo,
];

/** Floats that a tensor of `images` images takes. */
export const tensorFloats = (t: Omit<Tensor, 'offset'>, images: number): number =>
  images * (t.height + 2 * t.halo) * (t.width + 2 * t.halo) * t.channels;

/** An argument or destination of a record. */
export interface Operand {
  readonly kind: OperandKind;
  readonly at: number;
}

const opcode = new Map<string, number>(INSTRUCTIONS.map((name, i) => [name, i]));
const recordCode = new Map<string, number>(RECORDS.map((name, i) => [name, i]));
const kindCode = new Map<string, number>(OPERAND_KINDS.map((name, i) => [name, i]));

/** One instruction: opcode, length, fields. */
export const instruction = (name: InstructionName, ...fields: readonly number[]): number[] => [
  opcode.get(name)!,
  fields.length + 2,
  ...fields,
];

export interface RecordFields {
  readonly dst: Operand;
  readonly args: readonly Operand[];
  readonly parameters?: readonly number[];
  /** The word of operand c where c is not an operand. */
  readonly flag?: number;
}

/** One record: code, destination, three arguments, three parameters. */
export function record(
  code: RecordName,
  { dst, args, parameters = [], flag = 0 }: RecordFields,
): number[] {
  const operand = (o: Operand | undefined, otherwise = 0) =>
    o ? [kindCode.get(o.kind)!, o.at] : [0, otherwise];
  return [
    recordCode.get(code)!,
    ...operand(dst),
    ...operand(args[0]),
    ...operand(args[1]),
    ...operand(args[2], flag),
    parameters[0] ?? 0,
    parameters[1] ?? 0,
    parameters[2] ?? 0,
  ];
}
