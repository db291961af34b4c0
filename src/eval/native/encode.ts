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
const NONE: Operand = { kind: 'none', at: 0 };

/** Writes a program, word by word. */
export class ProgramWriter {
  readonly #words: number[] = [];
  #start = 0;
  /** Words that are to hold the place of the tile registers. */
  readonly #registerBases: number[] = [];

  get length(): number {
    return this.#words.length;
  }

  word(value: number): void {
    this.#words.push(value);
  }

  /** Replaces a word written before. */
  patch(at: number, value: number): void {
    this.#words[at] = value;
  }

  tensor({ offset, height, width, channels, halo }: Tensor): void {
    this.#words.push(offset, height, width, channels, halo);
  }

  /** The place of the tile registers, known when the program is finished. */
  registerBase(): void {
    this.#registerBases.push(this.#words.push(0) - 1);
  }

  /** Opens an instruction; `end` closes it. */
  begin(name: InstructionName): void {
    this.#start = this.#words.length;
    this.#words.push(opcode.get(name)!, 0);
  }

  end(): void {
    this.#words[this.#start + 1] = this.#words.length - this.#start;
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
    const [a = NONE, b = NONE, c = NONE] = args;
    this.#words.push(recordCode.get(code)!, kindCode.get(dst.kind)!, dst.at);
    this.#words.push(kindCode.get(a.kind)!, a.at, kindCode.get(b.kind)!, b.at);
    this.#words.push(kindCode.get(c.kind)!, args.length > 2 ? c.at : flag, p0, p1, p2);
  }

  finish(registerBase: number): Int32Array {
    for (const at of this.#registerBases) this.#words[at] = registerBase;
    return Int32Array.from(this.#words);
  }
}
