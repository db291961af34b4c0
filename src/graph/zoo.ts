import type { LayerGraph } from './graph.ts';
import { simplify } from './simplify.ts';
import { parseLayer } from './text.ts';

/** A known layer: the bar that discovered ones have to clear. */
export interface ZooLayer {
  readonly name: string;
  readonly formula: string;
  readonly doc: string;
  /** Of what it computes, as `probe` finds it; written down, since every command that reads asks for names. */
  readonly functionalKey: string;
  /** Made when it is first asked for. */
  readonly layer: LayerGraph;
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
  entry(
    'BN-ReLU',
    relu(normalized('bwh')),
    'batch normalization, then ReLU',
    '2ac4987d9ac3800518203f58e474db9849080084',
  ),
  entry(
    'BN-SiLU',
    silu(normalized('bwh')),
    'batch normalization, then SiLU',
    'ca17ba793474e41afc37c1b7f1809c4c521540c2',
  ),
  entry(
    'GN-ReLU',
    relu(normalized('whc/g')),
    'group normalization, then ReLU',
    'd2a4d22eb45b57e13ccd3d4dec548c96d46d09e9',
  ),
  entry(
    'GN-SiLU',
    silu(normalized('whc/g')),
    'group normalization, then SiLU',
    '2571726e5db40ae579fee236146e9b108dfbe9a9',
  ),
  entry(
    'IN-ReLU',
    relu(normalized('wh')),
    'instance normalization, then ReLU',
    'fc2052b5b7c59bbf2dcde412dee0e3b1bb8fd7bf',
  ),
  entry(
    'LN-ReLU',
    relu(normalized('whc')),
    'layer normalization over the whole image, then ReLU',
    'c77b3dabcefec9ea7514817166b19c3237ef4d64',
  ),
  entry(
    'RMSNorm-SiLU',
    silu('(v1 * x / rms[whc](x))'),
    'RMS normalization over the whole image, then SiLU',
    '0412ea69952c9a551d8fa0cf508623c526ec2647',
  ),
  entry(
    'DyT',
    'tanh(v1 * x)',
    'dynamic tanh, arXiv 2503.10622; no normalization',
    'efd5527fc4a196e78466974781148167a3a6e67f',
  ),
  entry(
    'ReLU',
    relu('x'),
    'ReLU alone; no normalization',
    '840a0aff54f33d2940b10d9d27dabd069e8c55f8',
  ),
  entry(
    'SiLU',
    silu('x'),
    'SiLU (Swish) alone; no normalization',
    'c69e3783ece1dea2c0b386f4de5f2665a3588200',
  ),
  entry(
    'EvoNorm-B0',
    'x / max(std[bwh](x), v1 * x + std[wh](x))',
    'arXiv 2004.02967',
    'a9a39cb31ec10632a576ac8d00097f1cdcae21cc',
  ),
  entry(
    'EvoNorm-B1',
    'x / max(std[bwh](x), (x + 1) * rms[wh](x))',
    'arXiv 2004.02967',
    'aebae312db201a87d6411f1d3f03f796175f0535',
  ),
  entry(
    'EvoNorm-B2',
    'x / max(std[bwh](x), rms[wh](x) - x)',
    'arXiv 2004.02967',
    'c9fc6333c53b0ba0bce82744b8a3b719c239b0ca',
  ),
  entry(
    'EvoNorm-S0',
    'x * sigmoid(v1 * x) / std[whc/g](x)',
    'arXiv 2004.02967',
    '1a43cf43170f193b1d5f46a1e4522f7b3210fc39',
  ),
  entry(
    'EvoNorm-S1',
    'x * sigmoid(x) / std[whc/g](x)',
    'arXiv 2004.02967',
    '4f495dd6e970964705a7586494698e8efed4e7ba',
  ),
  entry(
    'EvoNorm-S2',
    'x * sigmoid(x) / rms[whc/g](x)',
    'arXiv 2004.02967',
    '8595eadc2f79fd68fce181feccd9e80706da2e6b',
  ),
];

function entry(name: string, formula: string, doc: string, functionalKey: string): ZooLayer {
  let layer: LayerGraph | undefined;
  return {
    ...{ name, formula, doc, functionalKey },
    get layer() {
      layer ??= simplify(parseLayer(formula));
      return layer;
    },
  };
}

const NAMES: ReadonlyMap<string, string> = new Map(
  ZOO.map(({ functionalKey, name }) => [functionalKey, name]),
);

/** The zoo's name for the function with this key, however it is spelled; null where it is none of them. */
export const zooNameOf = (functionalKey: string | null): string | null =>
  functionalKey === null ? null : (NAMES.get(functionalKey) ?? null);
