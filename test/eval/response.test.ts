import { describe, expect, test } from 'vitest';
import { RESPONSE_INPUTS, responsesOf } from '../../src/eval/response.ts';
import { parseLayer } from '../../src/graph/text.ts';
import { ZOO } from '../../src/graph/zoo.ts';

const layerNamed = (name: string) => ZOO.find((known) => known.name === name)!.layer;

/** What the layer gives for one element of an input with these statistics, by the formula. */
type Oracle = (x: number, mean: number, deviation: number) => number;
const relu = (a: number) => Math.max(a, 0);
const normalized: Oracle = (x, mean, deviation) => (x - mean) / Math.sqrt(deviation ** 2 + 1e-5);

describe('response curves', () => {
  test.each<readonly [string, Oracle]>([
    ['BN-ReLU', (...at) => relu(normalized(...at))],
    ['GN-ReLU', (...at) => relu(normalized(...at))],
    ['EvoNorm-S0', (x, _, deviation) => x / (1 + Math.exp(-x)) / Math.sqrt(deviation ** 2 + 1e-5)],
  ])('%s responds as its formula says, whatever its moments are over', (name, oracle) => {
    const responses = responsesOf(layerNamed(name));
    expect(responses.map(({ mean, deviation }) => [mean, deviation])).toContainEqual([0, 1]);
    for (const { mean, deviation, outputs } of responses)
      for (const [i, x] of RESPONSE_INPUTS.entries())
        expect(outputs[i]).toBeCloseTo(oracle(x, mean, deviation), 10);
  });

  test.each(['bwh', 'whc', 'wh', 'whc/g'])(
    'mean, rms and std over %s are those of the input',
    (index) => {
      const of = (formula: string) => responsesOf(parseLayer(formula));
      for (const { mean, deviation, outputs } of of(`mean[${index}](x)`))
        expect(outputs[0], `${deviation}`).toBeCloseTo(mean, 10);
      for (const { deviation, outputs } of of(`std[${index}](x)`))
        expect(outputs[0]).toBeCloseTo(Math.sqrt(deviation ** 2 + 1e-5), 10);
      for (const { mean, deviation, outputs } of of(`rms[${index}](x)`))
        expect(outputs[0]).toBeCloseTo(Math.sqrt(mean ** 2 + deviation ** 2 + 1e-5), 10);
    },
  );

  test('says where the output is no number', () => {
    const [first] = responsesOf(parseLayer('exp(exp(exp(x)))'));
    expect(first!.outputs.at(-1)).toBeNull();
    expect(first!.outputs[0]).toBeCloseTo(Math.exp(Math.exp(Math.exp(-5))), 10);
    expect(first!.outputs).toHaveLength(RESPONSE_INPUTS.length);
  });
});
