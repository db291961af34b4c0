/** An expression of the target's language, with the binding strength of its outermost operator. */
export interface Code {
  readonly text: string;
  readonly strength: number;
}

const SUM = 1;
const PRODUCT = 2;
/** Of a negation. */
export const SIGN = 3;
const ATOM = 4;

export const atom = (text: string): Code => ({ text, strength: ATOM });

/** How a target writes each op. Total over the op table: an op that is missing does not compile. */
export type Exprs<Op extends string, Context> = Readonly<
  Record<Op, (args: readonly Code[], context: Context) => Code>
>;

/** `name(a, b, …)` */
export const call =
  (name: string) =>
  (args: readonly Code[]): Code =>
    atom(`${name}(${args.map((a) => a.text).join(', ')})`);

/** Infix and prefix arithmetic, in parentheses exactly where the order of evaluation needs them. */
export const sum = ([a, b]: readonly Code[]): Code =>
  b!.strength === SIGN
    ? binary('-', SUM, a!, { text: b!.text.slice(1), strength: PRODUCT })
    : binary('+', SUM, a!, b!);
export const product = ([a, b]: readonly Code[]): Code => binary('*', PRODUCT, a!, b!);
export const quotient = ([a, b]: readonly Code[]): Code => binary('/', PRODUCT, a!, b!);
export const negative = ([a]: readonly Code[]): Code => ({
  text: `-${enclose(a!, ATOM)}`,
  strength: SIGN,
});

const binary = (operator: string, strength: number, a: Code, b: Code): Code => ({
  text: `${enclose(a, strength)} ${operator} ${enclose(b, strength + 1)}`,
  strength,
});

const enclose = ({ text, strength }: Code, wanted: number): string =>
  strength < wanted ? `(${text})` : text;
