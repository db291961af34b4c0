import { INSTRUCTIONS, OPERAND_KINDS, RECORD_WORDS, RECORDS } from './isa.ts';

const PREFIX = { none: '', register: 'r', tensor: 't', imageSlot: 'n', slot: 's' } as const;

/** A program as text, one instruction or record per line; addresses are numbered in order of appearance. */
export function printProgram(program: Int32Array): string {
  const names = new Map<string, string>();
  const operand = (kindCode: number, at: number): string => {
    const kind = OPERAND_KINDS[kindCode]!;
    if (kind === 'none') return '';
    if (kind === 'register' || kind === 'tensor') return `${PREFIX[kind]}${at}`;
    const key = `${kind} ${at}`;
    const name = names.get(key) ?? `${PREFIX[kind]}${names.size}`;
    names.set(key, name);
    return name;
  };
  const printRecord = (words: Int32Array, indent: string): string => {
    const name = RECORDS[words[0]!]!;
    const operands = [1, 3, 5, 7].map((k) => operand(words[k]!, words[k + 1]!));
    const [dst, ...args] = operands;
    return `${indent}${dst} = ${name} ${args.filter((a) => a !== '').join(' ')}`.trimEnd();
  };
  const printRecords = (words: Int32Array, indent: string): string[] => {
    const lines: string[] = [];
    for (let at = 0; at < words.length; at += RECORD_WORDS)
      lines.push(printRecord(words.subarray(at, at + RECORD_WORDS), indent));
    return lines;
  };
  const lines: string[] = [];
  for (let at = 0; at < program.length; at += program[at + 1]!) {
    const name = INSTRUCTIONS[program[at]!]!;
    const fields = program.subarray(at + 2, at + program[at + 1]!);
    lines.push(name);
    if (name === 'small') lines.push(...printRecords(fields.subarray(3), '  '));
    if (name === 'sweep') lines.push(...printSweep(fields, printRecords));
  }
  return lines.join('\n');
}

function printSweep(
  fields: Int32Array,
  printRecords: (words: Int32Array, indent: string) => string[],
): string[] {
  let at = 9 + 5 * fields[8]!;
  const passes = fields[at++]!;
  const lines: string[] = [];
  for (let pass = 0; pass < passes; pass++) {
    const counts = [...fields.subarray(at, at + 3)];
    at += 3;
    for (const [part, count] of counts.entries()) {
      if (count > 0) lines.push(`  pass ${pass} ${['image', 'tile', 'end'][part]}`);
      lines.push(...printRecords(fields.subarray(at, at + count * RECORD_WORDS), '    '));
      at += count * RECORD_WORDS;
    }
  }
  return lines;
}
