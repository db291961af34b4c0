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

/** Writes a program, word by word. */
export class ProgramWriter {
  #words = new Int32Array(4096);
  #length = 0;
  #start = 0;
  /** Words that are to hold the place of the tile registers. */
  readonly #registerBases: number[] = [];

  get length(): number {
    return this.#length;
  }

  word(value: number): void {
    if (this.#length === this.#words.length) this.#grow();
    this.#words[this.#length++] = value;
  }

  /** Replaces a word written before. */
  patch(at: number, value: number): void {
    this.#words[at] = value;
  }

  tensor({ offset, height, width, channels, halo }: Tensor): void {
    this.word(offset);
    this.word(height);
    this.word(width);
    this.word(channels);
    this.word(halo);
  }

  /** The place of the tile registers, known when the program is finished. */
  registerBase(): void {
    this.#registerBases.push(this.#length);
    this.word(0);
  }

  /** Opens an instruction; `end` closes it. */
  begin(name: InstructionName): void {
    this.#start = this.#length;
    this.word(opcode.get(name)!);
    this.word(0);
  }

  end(): void {
    this.#words[this.#start + 1] = this.#length - this.#start;
  }

  /** A whole instruction of tensors and words. */
  instruction(name: InstructionName, ...fields: readonly (number | Tensor)[]): void {
    this.begin(name);
    for (const field of fields) {
      if (typeof field === 'number') this.word(field);
      else this.tensor(field);
    }
    this.end();
  }

  /** One record: code, destination, three arguments, three parameters. `flag` is the word of c where c is no operand. */
  record(
    code: RecordName,
    dst: Operand,
    args: readonly Operand[],
    p0 = 0,
    p1 = 0,
    p2 = 0,
    flag = 0,
  ): void {
    this.word(recordCode.get(code)!);
    this.#operand(dst, dst.at);
    this.#operand(args[0], args[0]?.at ?? 0);
    this.#operand(args[1], args[1]?.at ?? 0);
    this.#operand(args[2], args[2]?.at ?? flag);
    this.word(p0);
    this.word(p1);
    this.word(p2);
  }

  finish(registerBase: number): Int32Array {
    for (const at of this.#registerBases) this.#words[at] = registerBase;
    return this.#words.slice(0, this.#length);
  }

  #operand(operand: Operand | undefined, at: number): void {
    this.word(kindCode.get(operand?.kind ?? 'none')!);
    this.word(at);
  }

  #grow(): void {
    const words = new Int32Array(2 * this.#words.length);
    words.set(this.#words);
    this.#words = words;
  }
}
