import type { LayerGraph } from './graph.ts';
import { probe } from './keys.ts';
import { simplify } from './simplify.ts';
import { parseLayer } from './text.ts';

/** A known layer: the bar that discovered ones have to clear. */
export interface ZooLayer {
  readonly name: string;
  readonly formula: string;
  readonly layer: LayerGraph;
  readonly doc: string;
}

/** What a normalization's affine is before an activation, `v1` and `v0` being its scale and shift. */
const normalized = (index: string) => `(v1 * (x - mean[${index}](x)) / std[${index}](x) + v0)`;
const relu = (a: string) => `max(${a}, 0)`;
const silu = (a: string) => `${a} * sigmoid(${a})`;

/**
 * Every layer ends with γ·out + β. A normalization that is followed by an activation has an affine of
 * its own in between, which v1 and v0 stand for; γ and β at 1 and 0 then leave the pair as PyTorch
 * computes it.
 */
export const ZOO: readonly ZooLayer[] = [
  entry('BN-ReLU', relu(normalized('bwh')), 'batch normalization, then ReLU'),
  entry('BN-SiLU', silu(normalized('bwh')), 'batch normalization, then SiLU'),
  entry('GN-ReLU', relu(normalized('whc/g')), 'group normalization, then ReLU'),
  entry('GN-SiLU', silu(normalized('whc/g')), 'group normalization, then SiLU'),
  entry('IN-ReLU', relu(normalized('wh')), 'instance normalization, then ReLU'),
  entry('LN-ReLU', relu(normalized('whc')), 'layer normalization over the whole image, then ReLU'),
  entry(
    'RMSNorm-SiLU',
    silu('(v1 * x / rms[whc](x))'),
    'RMS normalization over the whole image, then SiLU',
  ),
  entry('DyT', 'tanh(v1 * x)', 'dynamic tanh, arXiv 2503.10622; no normalization'),
  entry('ReLU', relu('x'), 'ReLU alone; no normalization'),
  entry('SiLU', silu('x'), 'SiLU (Swish) alone; no normalization'),
  entry('EvoNorm-B0', 'x / max(std[bwh](x), v1 * x + std[wh](x))', 'arXiv 2004.02967'),
  entry('EvoNorm-B1', 'x / max(std[bwh](x), (x + 1) * rms[wh](x))', 'arXiv 2004.02967'),
  entry('EvoNorm-B2', 'x / max(std[bwh](x), rms[wh](x) - x)', 'arXiv 2004.02967'),
  entry('EvoNorm-S0', 'x * sigmoid(v1 * x) / std[whc/g](x)', 'arXiv 2004.02967'),
  entry('EvoNorm-S1', 'x * sigmoid(x) / std[whc/g](x)', 'arXiv 2004.02967'),
  entry('EvoNorm-S2', 'x * sigmoid(x) / rms[whc/g](x)', 'arXiv 2004.02967'),
];

function entry(name: string, formula: string, doc: string): ZooLayer {
  return { name, formula, layer: simplify(parseLayer(formula)), doc };
}

let names: ReadonlyMap<string, string> | undefined;

/** The zoo's name for what `layer` computes, however it is spelled; null where it is none of them. */
export function zooNameOf(layer: LayerGraph): string | null {
  names ??= new Map(ZOO.map(({ layer: known, name }) => [functionalKeyOf(known) as string, name]));
  const key = functionalKeyOf(layer);
  return key === null ? null : (names.get(key) ?? null);
}

function functionalKeyOf(layer: LayerGraph): string | null {
  const result = probe(layer);
  return result.verdict === 'ok' ? result.functionalKey : null;
}
