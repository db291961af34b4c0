import katex from 'katex';

/*
 * Reads a formula as a mathematician would, from the tree that KaTeX makes of it, and computes it for
 * numbers: what the notation means, told without the exporter.
 */

/** A node of KaTeX's tree, as far as formulas of layers have them. */
interface Tree {
  readonly type: string;
  readonly text?: string;
  readonly name?: string;
  readonly left?: string;
  readonly base?: Tree;
  readonly sub?: Tree;
  readonly sup?: Tree;
  readonly numer?: Tree;
  readonly denom?: Tree;
  readonly body?: Tree | readonly Tree[] | readonly (readonly Tree[])[];
}

type Token =
  | string
  | { readonly fraction: readonly [readonly Token[], readonly Token[]] }
  | { readonly root: readonly Token[] }
  | { readonly power: readonly Token[] };

const listOf = (body: Tree['body']): readonly Tree[] =>
  body === undefined ? [] : Array.isArray(body) ? (body as readonly Tree[]) : [body as Tree];

/** The letters of a subscript or of an upright name. */
const letters = (tree: Tree): string => tree.text ?? listOf(tree.body).map(letters).join('');

function tokensOf(tree: Tree): Token[] {
  const inner = () => listOf(tree.body).flatMap(tokensOf);
  switch (tree.type) {
    case 'mathord':
    case 'textord':
    case 'atom':
      return [tree.text!];
    case 'op':
      return [tree.name!];
    case 'operatorname':
    case 'font':
      return [listOf(tree.body).map(letters).join('')];
    case 'ordgroup':
    case 'styling':
      return inner();
    case 'leftright':
      return tree.left === '|' ? ['\\lvert', ...inner(), '\\rvert'] : ['(', ...inner(), ')'];
    case 'genfrac':
      return [{ fraction: [tokensOf(tree.numer!), tokensOf(tree.denom!)] }];
    case 'sqrt':
      return [{ root: inner() }];
    case 'supsub': {
      const base = tokensOf(tree.base!);
      const last = base.pop();
      const named = tree.sub ? `${String(last)}_${letters(tree.sub)}` : last!;
      return [...base, named, ...(tree.sup ? [{ power: tokensOf(tree.sup) }] : [])];
    }
    default:
      throw new Error(`KaTeX found ${tree.type}`);
  }
}

/** What names and functions stand for. */
export interface Meaning {
  readonly names: Readonly<Record<string, number>>;
  readonly call: (name: string, args: readonly number[]) => number;
  readonly divide: (a: number, b: number) => number;
}

class Reader {
  readonly #tokens: readonly Token[];
  readonly #meaning: Meaning;
  #at = 0;

  constructor(tokens: readonly Token[], meaning: Meaning) {
    this.#tokens = tokens;
    this.#meaning = meaning;
  }

  /** Everything there is. */
  value(): number {
    const value = this.#sum();
    if (this.#at < this.#tokens.length)
      throw new Error(`unexpected ${JSON.stringify(this.#next())}`);
    return value;
  }

  #next(): Token | undefined {
    return this.#tokens[this.#at];
  }

  #takes(token: string): boolean {
    if (this.#next() !== token) return false;
    this.#at++;
    return true;
  }

  #sum(): number {
    let value = this.#takes('-') ? -this.#product() : this.#product();
    for (;;) {
      if (this.#takes('+')) value += this.#product();
      else if (this.#takes('-')) value -= this.#product();
      else return value;
    }
  }

  #product(): number {
    let value = this.#power();
    while (this.#takes('\\cdot')) value *= this.#power();
    return value;
  }

  #power(): number {
    if (this.#takes('e')) return Math.exp(this.#exponent());
    const value = this.#factor();
    const next = this.#next();
    return typeof next === 'object' && 'power' in next ? value ** this.#exponent() : value;
  }

  #exponent(): number {
    const token = this.#next();
    if (typeof token !== 'object' || !('power' in token)) throw new Error('no exponent');
    this.#at++;
    return this.#inside(token.power);
  }

  #factor(): number {
    const token = this.#next();
    this.#at++;
    if (token === '(') return this.#arguments(')')[0]!;
    if (token === '\\lvert') return Math.abs(this.#arguments('\\rvert')[0]!);
    if (typeof token === 'string') {
      if (this.#takes('(')) return this.#meaning.call(token, this.#arguments(')'));
      const value = /^\d$/.test(token) ? Number(token) : this.#meaning.names[token];
      if (value === undefined) throw new Error(`${token} stands for nothing`);
      return value;
    }
    if (token && 'fraction' in token) {
      const [a, b] = token.fraction.map((part) => this.#inside(part));
      return this.#meaning.divide(a!, b!);
    }
    if (token && 'root' in token) return Math.sqrt(this.#inside(token.root));
    throw new Error('a value is missing');
  }

  #arguments(close: string): number[] {
    const values = [this.#sum()];
    while (this.#takes(',')) values.push(this.#sum());
    if (!this.#takes(close)) throw new Error(`${close} is missing`);
    return values;
  }

  #inside(tokens: readonly Token[]): number {
    return new Reader(tokens, this.#meaning).value();
  }
}

/** The value of `y`: of one equation, or of the last of several, each of which may use those above it. */
export function valueOfY(text: string, meaning: Meaning): number {
  // KaTeX's types leave its parser out.
  const { __parse } = katex as unknown as { __parse: (text: string) => readonly Tree[] };
  const trees = __parse(text).filter(({ type }) => type !== 'comment');
  const rows =
    trees[0]?.type === 'array'
      ? (trees[0].body as readonly (readonly Tree[])[]).map((row) => row.flatMap(tokensOf))
      : [trees.flatMap(tokensOf)];
  const names = { ...meaning.names };
  for (const [name, equals, ...right] of rows) {
    if (equals !== '=') throw new Error('a row is no equation');
    names[String(name)] = new Reader(right, { ...meaning, names }).value();
  }
  return names.y!;
}
