import { UserError } from '../errors.ts';
import { INDEX_SETS, type IndexSet } from './extent.ts';
import { arityOf, MAX_NODES } from './genome.ts';
import { GraphBuilder, type LayerGraph, type Node, type Value } from './graph.ts';
import { isMoment, OP_NAMES, type OpName } from './ops.ts';

/** A fault in a formula; the message ends with the formula and a caret under the place. */
export class FormulaError extends UserError {
  /** Where in the formula, counted from 0. */
  readonly position: number;

  constructor(what: string, formula: string, position: number) {
    super(`${what}\n${pointAt(formula, position)}`, 2);
    this.name = 'FormulaError';
    this.position = position;
  }
}

/** The formula, or the part around the place where it is long, with a caret below. */
function pointAt(formula: string, position: number): string {
  const start = Math.max(0, position - 60);
  const line = formula.slice(start, start + 120).replace(/[\p{C}\s]/gu, ' ');
  const [head, tail] = [start > 0 ? '…' : '', start + 120 < formula.length ? '…' : ''];
  return `  ${head}${line}${tail}\n  ${' '.repeat(head.length + position - start)}^`;
}

const MAX_LENGTH = 100_000;
/** Half of what the default stack takes; formulas of hundreds of nodes fit, however nested. */
const MAX_DEPTH = 1000;

/** Precedences, loosest first; prefix minus binds tighter than the product. */
const SUM = 1;
const PRODUCT = 2;
const PREFIX = 3;
const ATOM = 4;

interface Token {
  readonly kind: 'name' | 'number' | 'mark' | 'end';
  readonly text: string;
  readonly at: number;
}

/** The layer that a formula such as `x * sigmoid(v1 * x) / std[whc/g](x)` describes, not simplified. */
export function parseLayer(text: string): LayerGraph {
  if (text.length > MAX_LENGTH)
    throw new UserError(`a formula has at most ${MAX_LENGTH} characters, not ${text.length}`);
  return new Parser(text).layer();
}

class Parser {
  readonly #text: string;
  readonly #builder = new GraphBuilder();
  #token: Token;
  #depth = 0;

  constructor(text: string) {
    this.#text = text;
    this.#token = this.#scan(0);
  }

  layer(): LayerGraph {
    if (this.#ended()) throw this.#fault('the formula is empty; the shortest is x');
    const out = this.#expression(SUM);
    if (!this.#ended())
      throw this.#fault(`expected an operator or the end, found ${describe(this.#token)}`);
    const layer = this.#builder.build({ out });
    if (layer.nodes.length > MAX_NODES)
      throw new UserError(`a layer has at most ${MAX_NODES} nodes, not ${layer.nodes.length}`);
    return layer;
  }

  /** Precedence climbing: everything that binds at least as tightly as `level`, left to right. */
  #expression(level: number): Value {
    if (++this.#depth > MAX_DEPTH) throw this.#fault(`nested deeper than ${MAX_DEPTH} levels`);
    let left = this.#operand();
    for (;;) {
      const operator = this.#token;
      const precedence = '+-'.includes(operator.text) ? SUM : PRODUCT;
      if (operator.kind !== 'mark' || !'+-*/'.includes(operator.text) || precedence < level) break;
      this.#advance();
      const right = this.#expression(precedence + 1);
      left = combine[operator.text as keyof typeof combine](left, right);
    }
    this.#depth--;
    return left;
  }

  #operand(): Value {
    const token = this.#token;
    switch (token.kind) {
      case 'name':
        this.#advance();
        return this.#named(token);
      case 'number':
        this.#advance();
        return this.#number(token);
      case 'mark':
        if (token.text === '-') {
          this.#advance();
          return this.#expression(PREFIX).neg();
        }
        if (token.text === '(') {
          this.#advance();
          const inner = this.#expression(SUM);
          this.#expect(')', token);
          return inner;
        }
    }
    throw this.#fault(`expected x, v0, v1, 0, 1, an op or "(", found ${describe(token)}`);
  }

  #number({ text, at }: Token): Value {
    const zero = this.#builder.input('zero');
    if (text === '0') return zero;
    if (text === '1') return this.#builder.elementwise('exp', zero);
    throw this.#fault(`the number ${text} cannot stand in a layer, only 0 and 1 can`, at);
  }

  #named(name: Token): Value {
    const { text } = name;
    if (text === 'x' || text === 'v0' || text === 'v1') return this.#builder.input(text);
    const op = OP_NAMES.find((known) => known === text);
    if (!op) throw this.#fault(`unknown ${this.#unknown(text)}`, name.at);
    const index = this.#index(op);
    const open = this.#token;
    if (!this.#is('(')) throw this.#fault(`expected "(" after ${op}, found ${describe(open)}`);
    const args = this.#args(open);
    if (args.length !== arityOf(op)) {
      const plural = arityOf(op) === 1 ? 'argument' : 'arguments';
      throw this.#fault(`${op} takes ${arityOf(op)} ${plural}, not ${args.length}`, name.at);
    }
    if (isMoment(op)) return this.#builder.moment(op, index as IndexSet, args[0] as Value);
    return this.#builder.elementwise(op, ...args);
  }

  #unknown(text: string): string {
    return this.#is('(') || this.#is('[')
      ? `op "${text}"; the ops are ${OP_NAMES.join(', ')}`
      : `name "${text}"; the names are x, v0, v1`;
  }

  /** The `[whc/g]` of a moment. */
  #index(op: OpName): IndexSet | undefined {
    const choices = INDEX_SETS.map((name) => `[${name}]`).join(', ');
    if (!isMoment(op)) {
      if (this.#is('[')) throw this.#fault(`${op} takes no index set`);
      return undefined;
    }
    if (!this.#is('[')) throw this.#fault(`${op} needs an index set, one of ${choices}`);
    const open = this.#token;
    const close = this.#text.indexOf(']', open.at);
    if (close < 0) throw this.#fault('missing "]" for this "["', open.at);
    const text = this.#text.slice(open.at + 1, close);
    const index = INDEX_SETS.find((name) => name === text.replace(/\s/g, ''));
    if (!index) {
      const at = open.at + 1 + (text.length - text.trimStart().length);
      throw this.#fault(`unknown index set "${clip(text.trim())}"; it is one of ${choices}`, at);
    }
    this.#token = this.#scan(close + 1);
    return index;
  }

  /** The arguments between `open` and its parenthesis. */
  #args(open: Token): Value[] {
    this.#advance();
    if (this.#is(')')) {
      this.#advance();
      return [];
    }
    const args = [this.#expression(SUM)];
    while (this.#is(',')) {
      this.#advance();
      args.push(this.#expression(SUM));
    }
    this.#expect(')', open);
    return args;
  }

  #is(mark: string): boolean {
    return this.#token.kind === 'mark' && this.#token.text === mark;
  }

  #ended(): boolean {
    return this.#token.kind === 'end';
  }

  #expect(mark: string, open: Token): void {
    if (this.#ended()) throw this.#fault(`missing "${mark}" for this "${open.text}"`, open.at);
    if (!this.#is(mark)) throw this.#fault(`expected "${mark}", found ${describe(this.#token)}`);
    this.#advance();
  }

  #advance(): void {
    this.#token = this.#scan(this.#token.at + this.#token.text.length);
  }

  #scan(from: number): Token {
    const token =
      /\s*(?:(?<name>[A-Za-z_]\w*)|(?<number>[\d.](?:[\w.]|(?<=e)[-+](?=\d))*)|(?<mark>.)|$)/suy;
    token.lastIndex = from;
    const groups = token.exec(this.#text)?.groups ?? {};
    for (const kind of ['name', 'number', 'mark'] as const) {
      const text = groups[kind];
      if (text !== undefined) return { kind, text, at: token.lastIndex - text.length };
    }
    return { kind: 'end', text: '', at: this.#text.length };
  }

  #fault(what: string, at: number = this.#token.at): FormulaError {
    return new FormulaError(what, this.#text, at);
  }
}

const combine = {
  '+': (a: Value, b: Value) => a.add(b),
  '-': (a: Value, b: Value) => a.sub(b),
  '*': (a: Value, b: Value) => a.mul(b),
  '/': (a: Value, b: Value) => a.div(b),
};

const clip = (text: string) => (text.length > 40 ? `${text.slice(0, 40)}…` : text);
const describe = ({ kind, text }: Token) => (kind === 'end' ? 'the end' : `"${clip(text)}"`);

/** A piece of a formula and how tightly it binds. */
interface Piece {
  readonly text: string;
  readonly level: number;
  /** The operand where the piece is a negation, so that a sum can print it as a difference. */
  readonly negated?: Piece;
}

const MAX_PRINTED = 1_000_000;

/** The formula of `layer`, exactly as the graph stands; `parseLayer` reads it back to the same graph. */
export function formatLayer(layer: LayerGraph): string {
  const pieces: Piece[] = [];
  for (const node of layer.nodes) {
    const piece = print(
      node,
      node.args.map((id) => pieces[id] as Piece),
      layer,
    );
    // Shared nodes are printed at every use, so that a few dozen nodes may take gigabytes.
    if (piece.text.length > MAX_PRINTED)
      throw new UserError(`the formula of this layer has more than ${MAX_PRINTED} characters`, 1);
    pieces.push(piece);
  }
  return (pieces[layer.outputs.out] as Piece).text;
}

const atom = (text: string): Piece => ({ text, level: ATOM });
const within = (piece: Piece, level: number) =>
  piece.level >= level ? piece.text : `(${piece.text})`;

function print(node: Node, args: readonly Piece[], layer: LayerGraph): Piece {
  const [a, b] = args as readonly [Piece, Piece];
  switch (node.op) {
    case 'zero':
      return atom('0');
    case 'x':
    case 'v0':
    case 'v1':
      return atom(node.op);
    case 'add':
      return { text: `${within(a, SUM)} ${addend(b)}`, level: SUM };
    case 'mul':
      return { text: `${within(a, PRODUCT)} * ${within(b, PREFIX)}`, level: PRODUCT };
    case 'div':
      return { text: `${within(a, PRODUCT)} / ${within(b, PREFIX)}`, level: PRODUCT };
    case 'neg':
      return { text: `-${within(a, PREFIX)}`, level: PREFIX, negated: a };
    case 'exp':
      return atom(layer.nodes[node.args[0] as number]?.op === 'zero' ? '1' : `exp(${a.text})`);
    case 'mean':
    case 'rms':
    case 'std':
      return atom(`${node.op}[${node.index}](${a.text})`);
    default:
      return atom(`${node.op}(${args.map(({ text }) => text).join(', ')})`);
  }
}

const addend = (piece: Piece) =>
  piece.negated ? `- ${within(piece.negated, PRODUCT)}` : `+ ${within(piece, PRODUCT)}`;
