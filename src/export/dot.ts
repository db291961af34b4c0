import type { IndexSet } from '../graph/extent.ts';
import { type InputName, isInput, type LayerGraph, type Node } from '../graph/graph.ts';
import { type ElementwiseName, elementwise, isElementwise, isMoment } from '../graph/ops.ts';
import { captionOf } from './caption.ts';
import type { CodeStyle, Exported } from './exported.ts';

/*
 * A layer as a picture for Graphviz. The kinds of nodes differ in shape as well as in colour; the colours
 * are of the palette that Okabe and Ito made for all kinds of colour vision. Text stands on filled nodes,
 * and the rest is of a grey that shows on white and on black.
 */

/** Of lines, and of text that stands on the page. */
const GREY = '#767676';

const KINDS = {
  image: { shape: 'box', fillcolor: '#56b4e9' },
  parameter: { shape: 'house', fillcolor: '#e69f00' },
  constant: { shape: 'circle', fillcolor: '#f2f2f2' },
  moment: { shape: 'hexagon', fillcolor: '#2fb68f' },
  op: { shape: 'box', style: 'filled,rounded', fillcolor: '#f2f2f2' },
  /** Takes arguments whose order matters, each at a field of its own. */
  ordered: { shape: 'Mrecord', fillcolor: '#f2f2f2' },
} as const;

type Attributes = Readonly<Record<string, string>>;

/** What is marked stands out by its outline. */
const MARKED = { color: '#d55e00', penwidth: '4' } as const;

/**
 * The graph in Graphviz's language, arguments above what is made of them. Nodes whose numbers are `marked`
 * stand out.
 */
export function dot(
  exported: Exported,
  { className }: CodeStyle,
  marked: ReadonlySet<number> = new Set(),
): string {
  const { layer } = exported;
  const out = 'y [label="y = γ · out + β", peripheries="2", shape="box", fillcolor="#56b4e9"]';
  const statements = [
    `graph ${attributes({ label: [className, ...legend(layer)].join('\n'), ...GRAPH, ...effort(layer) })}`,
    `node ${attributes(NODE)}`,
    `edge ${attributes({ color: GREY, arrowsize: '0.7' })}`,
    ...drawn(layer).map((id) => {
      const mark = marked.has(id) ? MARKED : {};
      return `${nameOf(id)} ${attributes({ ...looks(id, layer), ...mark })}`;
    }),
    out,
    ...edgesOf(layer),
    `${nameOf(layer.outputs.out)} -> y`,
  ];
  return [
    ...captionOf(exported).map((line) => `// ${line}`),
    `digraph ${quoted(className)} {`,
    ...statements.map((line) => `  ${line};`),
    '}',
    '',
  ].join('\n');
}

const FONT = 'Helvetica,Arial,sans-serif';
const GRAPH = { labelloc: 't', fontname: `${FONT}`, fontcolor: GREY, bgcolor: 'transparent' };
const NODE = {
  style: 'filled',
  color: GREY,
  fontcolor: '#111111',
  fontname: FONT,
  margin: '0.18,0.06',
};

/** Up to this many nodes Graphviz takes less than a second to do its best; beyond, it may take minutes. */
const SMALL = 50;

const effort = ({ nodes }: LayerGraph): Attributes =>
  nodes.length <= SMALL ? {} : { nslimit: '0.1', nslimit1: '0.1', mclimit: '0.1', splines: 'line' };

const nameOf = (id: number): string => `n${id}`;

const attributes = (values: Attributes): string =>
  `[${Object.entries(values)
    .map(([name, value]) => `${name}=${quoted(value)}`)
    .join(', ')}]`;

/** A string of Graphviz's language; line breaks become its own. */
const quoted = (text: string): string =>
  `"${text.replaceAll('\\', '\\\\').replaceAll('"', '\\"').replaceAll('\n', '\\n')}"`;

const isOne = (node: Node, { nodes }: LayerGraph): boolean =>
  node.op === 'exp' && nodes[node.args[0]!]!.op === 'zero';

/** Numbers of the nodes to draw: all but a zero that only the constant 1 is made of. */
function drawn(layer: LayerGraph): number[] {
  const { nodes, outputs } = layer;
  const read = new Set([outputs.out]);
  for (const node of nodes) if (!isOne(node, layer)) for (const id of node.args) read.add(id);
  return [...nodes.keys()].filter((id) => read.has(id));
}

const INPUTS: Readonly<Partial<Record<InputName, Attributes>>> = {
  x: { label: 'x', ...KINDS.image },
  zero: { label: '0', ...KINDS.constant },
  v0: { label: 'v0', ...KINDS.parameter },
  v1: { label: 'v1', ...KINDS.parameter },
};

const LABELS: Readonly<Record<ElementwiseName, string>> = {
  add: '+',
  mul: '×',
  div: 'a ÷ b',
  max: 'max',
  neg: '−a',
  sigmoid: 'sigmoid',
  tanh: 'tanh',
  exp: 'exp',
  log: 'log',
  abs: 'abs',
  square: 'square',
  sqrt: 'sqrt',
};

const OVER: Readonly<Record<IndexSet, string>> = {
  bwh: 'b, w, h',
  whc: 'w, h, c',
  wh: 'w, h',
  'whc/g': 'w, h, c/g',
};

const isOrdered = ({ op }: Node): boolean =>
  isElementwise(op) && elementwise[op].arity === 2 && !elementwise[op].commutative;

function looks(id: number, layer: LayerGraph): Attributes {
  const node = layer.nodes[id]!;
  const { op } = node;
  if (isInput(op)) return INPUTS[op]!;
  if (isOne(node, layer)) return { label: '1', ...KINDS.constant };
  if (isMoment(op) && 'index' in node)
    return { label: `${op}\nover ${OVER[node.index]}`, ...KINDS.moment };
  const label = LABELS[op as ElementwiseName];
  return isOrdered(node)
    ? { label: `{{<a>a|<b>b}|${label}}`, ...KINDS.ordered }
    : { label, ...KINDS.op };
}

function edgesOf(layer: LayerGraph): string[] {
  return drawn(layer).flatMap((id) => {
    const node = layer.nodes[id]!;
    if (isOne(node, layer)) return [];
    const ports = isOrdered(node) ? [':a', ':b'] : ['', ''];
    return node.args.map((arg, i) => `${nameOf(arg)} -> ${nameOf(id)}${ports[i]}`);
  });
}

const AXES: Readonly<Record<string, string>> = {
  b: 'b: batch',
  w: 'w, h: width, height',
  c: 'c: channels',
  'c/g': 'c/g: channels of a group',
};

/** What the letters under moments stand for, as far as there are any. */
function legend({ nodes }: LayerGraph): string[] {
  const used = new Set(
    nodes.flatMap((node) => ('index' in node ? OVER[node.index].split(', ') : [])),
  );
  const explained = Object.keys(AXES).filter((axis) => used.has(axis));
  return explained.length > 0 ? [explained.map((axis) => AXES[axis]).join('; ')] : [];
}
