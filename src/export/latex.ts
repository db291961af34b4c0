import type { IndexSet } from '../graph/extent.ts';
import { type InputName, isInput, type LayerGraph, type Node } from '../graph/graph.ts';
import { type ElementwiseName, EPSILON, isMoment, type OpName } from '../graph/ops.ts';
import { captionOf } from './caption.ts';
import type { Exported } from './exported.ts';

/*
 * A layer as a formula of LaTeX: what stands inside a display, for papers, notebooks and pages alike.
 * It needs amsmath, or KaTeX or MathJax as they are.
 */

/** A piece of a formula, as typeset. */
interface Piece {
  readonly text: string;
  readonly strength: number;
  /** In characters, roughly. */
  readonly width: number;
  /** Fractions above one another. */
  readonly height: number;
  /** The operand where the piece is a negation, so that a sum can show a difference. */
  readonly negated?: Piece;
}

const SUM = 1;
const PRODUCT = 2;
const POWER = 3;
const ATOM = 4;

/** What is larger than a line is broken into named parts. */
const LARGEST = { width: 60, height: 2 };
/** What is used several times gets a name from this width on. */
const SHARED_WIDTH = 14;

/** The formula, with its parts named where it is long or uses them several times. */
export function latex(exported: Exported): string {
  const { layer } = exported;
  const comments = [...captionOf(exported), '', ...notesOn(layer)];
  const equations = new Typesetter(layer).equations();
  const formula =
    equations.length === 1
      ? equations.map((sides) => sides.join(' = '))
      : [
          '\\begin{aligned}',
          equations.map(([left, right]) => `  ${left} &= ${right}`).join(' \\\\\n'),
          '\\end{aligned}',
        ];
  return `${[...comments.map((line) => `% ${line}`.trimEnd()), ...formula].join('\n')}\n`;
}

type Write = (...args: readonly Piece[]) => Piece;

const atom = (text: string, width: number): Piece => ({
  ...{ text, strength: ATOM, width, height: 0 },
});

/** A piece around others, as wide as they are with `width` more. */
const around = (text: string, strength: number, width: number, args: readonly Piece[]): Piece => ({
  ...{ text, strength, width: args.reduce((sum, a) => sum + a.width, width) },
  height: Math.max(...args.map(({ height }) => height)),
});

const parentheses = ({ text, height }: Pick<Piece, 'text' | 'height'>): string =>
  height > 0 ? `\\left(${text}\\right)` : `(${text})`;

const within = (piece: Piece, strength: number): string =>
  piece.strength < strength ? parentheses(piece) : piece.text;

const call =
  (name: string, width: number): Write =>
  (...args) => {
    const text = args.map((a) => a.text).join(', ');
    const whole = around(text, ATOM, width + 2, args);
    return { ...whole, text: `${name}${parentheses(whole)}` };
  };

const magnitude: Write = (a) =>
  around(a!.height > 0 ? `\\left|${a!.text}\\right|` : `\\lvert ${a!.text} \\rvert`, ATOM, 2, [a!]);

/** sgn(a) · f(|a| + ε) */
const signed =
  (write: (text: string) => string): Write =>
  (a) => {
    const inner = write(`${magnitude(a!).text} + \\varepsilon`);
    const sign = `\\operatorname{sgn}${parentheses(a!)}`;
    return around(`${sign} \\cdot ${inner}`, PRODUCT, 14, [a!, a!]);
  };

/** How each op is typeset. */
const WRITTEN: Readonly<Record<ElementwiseName, Write>> = {
  // A sum that begins with a minus goes on with it: a + (-b + c) is a - b + c.
  add: (a, b) =>
    b!.text.startsWith('-')
      ? around(`${a!.text} - ${b!.text.slice(1)}`, SUM, 2, [a!, b!])
      : around(`${a!.text} + ${b!.text}`, SUM, 3, [a!, b!]),
  mul: (a, b) =>
    around(`${within(a!, PRODUCT)} \\cdot ${within(b!, PRODUCT)}`, PRODUCT, 3, [a!, b!]),
  div: (a, b) => ({
    text: `\\frac{${a!.text}}{${b!.text}}`,
    strength: POWER,
    width: Math.max(a!.width, b!.width) + 1,
    height: Math.max(a!.height, b!.height) + 1,
  }),
  max: call('\\max', 3),
  neg: (a) => ({ ...around(`-${within(a!, PRODUCT)}`, SUM, 1, [a!]), negated: a! }),
  sigmoid: call('\\sigma', 1),
  tanh: call('\\tanh', 4),
  exp: (a) =>
    a!.height > 0 || a!.width > 12
      ? call('\\exp', 3)(a!)
      : around(`e^{${a!.text}}`, POWER, 1, [a!]),
  log: signed((text) => `\\ln(${text})`),
  abs: magnitude,
  square: (a) => around(`${within(a!, ATOM)}^2`, POWER, a!.strength < ATOM ? 3 : 1, [a!]),
  sqrt: signed((text) => `\\sqrt{${text}}`),
};

const INDICES: Readonly<Record<IndexSet, string>> = {
  bwh: 'b,w,h',
  whc: 'w,h,c',
  wh: 'w,h',
  'whc/g': 'w,h,c/g',
};

const SYMBOLS: Readonly<Partial<Record<InputName, Piece>>> = {
  x: atom('x', 1),
  zero: atom('0', 1),
  v0: atom('v_0', 2),
  v1: atom('v_1', 2),
};

const isOne = (node: Node, { nodes }: LayerGraph): boolean =>
  node.op === 'exp' && nodes[node.args[0]!]!.op === 'zero';

class Typesetter {
  readonly #layer: LayerGraph;
  readonly #named: [name: string, formula: string][] = [];

  constructor(layer: LayerGraph) {
    this.#layer = layer;
  }

  /** Left and right side of each equation; the last one is the layer's. */
  equations(): readonly (readonly [string, string])[] {
    const { nodes, outputs } = this.#layer;
    const uses = nodes.map(() => 0);
    for (const { args } of nodes) for (const id of args) uses[id]!++;
    const pieces: Piece[] = [];
    for (const [id, node] of nodes.entries()) {
      const args = node.args.map((arg) => pieces[arg]!);
      const piece = this.#fitting(node, args);
      pieces.push(uses[id]! > 1 && piece.width >= SHARED_WIDTH ? this.#name(piece) : piece);
    }
    const out = within(pieces[outputs.out]!, PRODUCT);
    return [...this.#named, ['y', `\\gamma \\cdot ${out} + \\beta`]];
  }

  /** Names the largest argument as long as the whole is too large. */
  #fitting(node: Node, args: readonly Piece[]): Piece {
    const piece = this.#piece(node, args);
    const fits = piece.width <= LARGEST.width && piece.height <= LARGEST.height;
    if (fits) return piece;
    const size = ({ width, height }: Piece) => width + (height > 1 ? LARGEST.width : 0);
    const largest = args.reduce((a, b) => (size(b) > size(a) ? b : a));
    const name = this.#name(largest);
    return this.#fitting(
      node,
      args.map((a) => (a === largest ? name : a)),
    );
  }

  #piece(node: Node, args: readonly Piece[]): Piece {
    const { op } = node;
    if (isInput(op)) return SYMBOLS[op]!;
    if (isOne(node, this.#layer)) return atom('1', 1);
    if (isMoment(op) && 'index' in node)
      return call(`\\mathrm{${op}}_{${INDICES[node.index]}}`, 6)(...args);
    return WRITTEN[op as ElementwiseName](...args);
  }

  #name({ text, negated }: Piece): Piece {
    if (negated) return WRITTEN.neg(this.#name(negated));
    const name = `t_{${this.#named.length + 1}}`;
    this.#named.push([name, text]);
    return atom(name, 2);
  }
}

/** What the formula leaves unsaid, of the ops that it has. */
const NOTES: Readonly<Partial<Record<OpName, string>>> = {
  sigmoid: '\\sigma is the sigmoid.',
  mean: 'mean: over width, height and further axes as its index says; b batch, c channels, c/g a group of them.',
  rms: 'rms(a) = sqrt(mean(a^2) + \\varepsilon), over the axes of its index; c/g is a group of channels.',
  std: 'std(a) = sqrt(var(a) + \\varepsilon), var biased, over the axes of its index; c/g is a group of channels.',
  div: 'A denominator counts as \\varepsilon with its sign where it is smaller than that in magnitude.',
};

function notesOn({ nodes }: LayerGraph): string[] {
  const ops = new Set<string>(nodes.map(({ op }) => op));
  const notes = Object.entries(NOTES).filter(([op]) => ops.has(op));
  return [
    'Mathematics for a display: \\[ ... \\], equation, $$ ... $$; needs amsmath, KaTeX or MathJax.',
    '\\gamma and \\beta, v_0 and v_1 are trained, one number per channel.',
    ...notes.map(([, note]) => note),
    `\\varepsilon is ${EPSILON.toExponential()}.`,
  ];
}
