import { instance } from '@viz-js/viz';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { UserError } from '../../src/errors.ts';
import { dot } from '../../src/export/dot.ts';
import { svg } from '../../src/export/svg.ts';
import { genomeOf, layerOf, parseGenome } from '../../src/graph/genome.ts';
import type { LayerGraph } from '../../src/graph/graph.ts';
import { parseLayer } from '../../src/graph/text.ts';
import { ZOO } from '../../src/graph/zoo.ts';
import { genomes } from '../graph/arbitrary.ts';
import { exportedOf } from './vectors.ts';

const STYLE = { className: 'Layer', layout: 'nchw' } as const;
const drawn = (layer: LayerGraph) => dot(exportedOf(layer, null), STYLE);
const pictureOf = (layer: LayerGraph) => svg(exportedOf(layer, null), STYLE);

interface Parsed {
  readonly objects: readonly Readonly<Record<string, string>>[];
  readonly edges: readonly {
    readonly tail: number;
    readonly head: number;
    readonly headport?: string;
  }[];
}

const viz = await instance();

/** What Graphviz itself reads out of the text. */
const parsed = (layer: LayerGraph): Parsed => {
  const graph = viz.renderJSON(drawn(layer), { engine: 'nop2' });
  return graph as Parsed;
};

describe('the picture for Graphviz', () => {
  test('of EvoNorm-S0, whole', async () => {
    const { layer } = ZOO.find(({ name }) => name === 'EvoNorm-S0')!;
    await expect(drawn(layer)).toMatchFileSnapshot('golden/evonorm_s0.dot');
  });

  test('has each live node once, with an edge for each argument, in their order', () => {
    fc.assert(
      fc.property(genomes({ maxNodes: 12 }), (genome) => {
        const layer = layerOf(genome);
        const { objects, edges } = parsed(layer);
        const isConstant = (id: number) =>
          layer.nodes[id]!.op === 'exp' && layer.nodes[layer.nodes[id]!.args[0]!]!.op === 'zero';
        const expected = layer.nodes.flatMap((node, id) =>
          isConstant(id)
            ? []
            : node.args.map((arg, i) => [arg, id, node.op === 'div' ? 'ab'[i] : undefined]),
        );
        const idOf = (place: number) => Number(/^n(\d+)$/.exec(objects[place]!.name!)?.[1] ?? -1);
        const found = edges.map(({ tail, head, headport }) => [idOf(tail), idOf(head), headport]);
        const sorted = (list: unknown[][]) => list.map((edge) => JSON.stringify(edge)).sort();
        expect(sorted(found)).toEqual(sorted([...expected, [layer.outputs.out, -1, undefined]]));
        const names = objects.map(({ name }) => name);
        expect(new Set(names).size).toBe(names.length);
      }),
      { numRuns: 60 },
    );
  });

  test('tells numerator and denominator apart', () => {
    const into = (formula: string) => {
      const { objects, edges } = parsed(parseLayer(formula));
      return edges
        .filter(({ headport }) => headport !== undefined)
        .map(({ tail, headport }) => [objects[tail]!.label, headport]);
    };
    expect(into('x / v1')).toEqual([
      ['x', 'a'],
      ['v1', 'b'],
    ]);
    expect(into('v1 / x')).toEqual([
      ['v1', 'a'],
      ['x', 'b'],
    ]);
  });

  test('tells kinds of nodes apart by shape and by colour', () => {
    const { objects } = parsed(parseLayer('max(x * v0, 0) + std[wh](x) * (1 + x)'));
    const looks = (label: string) => {
      const { shape, fillcolor, style } = objects.find((node) => node.label === label)!;
      return [shape, fillcolor, style];
    };
    const kinds = ['x', 'v0', '0', 'std\\nover w, h', '+'].map(looks);
    for (const part of [0, 1])
      expect(new Set(kinds.map((kind) => kind[part])).size).toBeGreaterThanOrEqual(4);
    expect(new Set(kinds.map(String)).size).toBe(kinds.length);
    expect(looks('1')).toEqual(looks('0'));
  });

  test('explains the axes that its moments have, and no others', () => {
    const legend = (formula: string) =>
      /label="Layer(?:\\n(.*?))?"/.exec(drawn(parseLayer(formula)))![1];
    expect(legend('x * v1')).toBeUndefined();
    expect(legend('x / std[wh](x)')).toBe('w, h: width, height');
    expect(legend('x / std[whc/g](x) - mean[bwh](x)')).toBe(
      'b: batch; w, h: width, height; c/g: channels of a group',
    );
  });
});

/** Relative luminance and contrast, of WCAG 2.2. */
function luminance(colour: string): number {
  const channels = [1, 3, 5].map((at) => Number.parseInt(colour.slice(at, at + 2), 16) / 255);
  const [r, g, b] = channels.map((c) => (c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4));
  return 0.2126 * r! + 0.7152 * g! + 0.0722 * b!;
}
const contrast = (a: string, b: string) => {
  const [dark, light] = [luminance(a), luminance(b)].sort((x, y) => x - y);
  return (light! + 0.05) / (dark! + 0.05);
};

describe('the picture in SVG', () => {
  const layer = parseLayer('max(x * v0, 0) / (std[whc/g](x) * (1 + mean[bwh](x)))');

  test('can be read on light and on dark pages', async () => {
    const picture = await pictureOf(layer);
    const colours = (attribute: string) =>
      new Set([...picture.matchAll(new RegExp(` ${attribute}="(#\\w+)"`, 'g'))].map(([, c]) => c!));
    const fills = [...colours('fill')].filter((c) => !['#111111', '#767676'].includes(c));
    expect(fills.length).toBeGreaterThanOrEqual(4);
    for (const fill of fills) expect(contrast(fill, '#111111'), fill).toBeGreaterThan(7);
    expect([...colours('stroke')]).toEqual(['#767676']);
    for (const page of ['#ffffff', '#0d1117', '#000000'])
      expect(contrast('#767676', page), page).toBeGreaterThan(4);
    expect(picture).not.toMatch(/(?:fill|stroke)="(?:black|white)"/);
  });

  test('is one element with all that it needs', async () => {
    const picture = await pictureOf(layer);
    expect(picture).toMatch(
      /^<!--\n[^<>]*(?:>[^<>]*)*-->\n<svg xmlns="http:\/\/www\.w3\.org\/2000\/svg" role="img" aria-label="Layer" /,
    );
    expect(picture).not.toMatch(/href|url\(|<script|<style|DOCTYPE/);
    expect(picture.match(/<g /g)!.length).toBe(picture.match(/<\/g>/g)!.length);
    for (const text of ['std', 'over w, h, c/g', 'over b, w, h', 'v0', 'a ÷ b', 'y = γ · out + β'])
      expect(picture).toContain(`>${text}</text>`);
  });

  test('is refused where it would take minutes', async () => {
    const chain = parseGenome({
      nodes: Array.from({ length: 300 }, (_, k) => ({ op: 'add', args: [k === 0 ? 0 : k + 3, 0] })),
    });
    const large = { ...exportedOf(layerOf(chain), null), genome: chain };
    await expect(svg(large, STYLE)).rejects.toThrow(
      new UserError(
        'An svg has at most 200 nodes, and this layer 301; dot leaves the layout to you.',
        1,
      ),
    );
    const allowed = layerOf({ nodes: chain.nodes.slice(0, 190) });
    expect(genomeOf(allowed).nodes).toHaveLength(190);
    expect(await pictureOf(allowed)).toContain('</svg>');
  });
});
