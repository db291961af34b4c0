import { describe, expect, test } from 'vitest';
import { loadDataset } from '../../../src/eval/data.ts';
import type { Engine } from '../../../src/eval/engine.ts';
import { evaluateLayer } from '../../../src/eval/evaluate.ts';
import type { Outcome } from '../../../src/eval/outcome.ts';
import { type ProtocolOverrides, resolveProtocol } from '../../../src/eval/presets.ts';
import { trainingNetworks } from '../../../src/eval/protocol-networks.ts';
import { networkSize } from '../../../src/eval/size.ts';
import { parseLayer } from '../../../src/graph/text.ts';
import { workMeter } from '../../../src/search/study/work.ts';

const protocolOf = (overrides: ProtocolOverrides = {}) =>
  resolveProtocol(
    'quick',
    {
      ...{ dataset: { pool: 7, validation: 20 }, anchors: ['mini-wide'], batch: 4, steps: 10 },
      quality: { steps: 2, images: 5, minAccuracy: 0.5 },
      ...overrides,
    },
    'counting',
  );

describe('one anchor, by hand', () => {
  // In forward passes of one image: a step is three of each of 4 images. Two steps, the test of 5, eight
  // steps, the validation of 20.
  const full = 2 * 12 + 5 + 8 * 12 + 20;
  const anchor = 'mini-wide';
  const cases: readonly (readonly [passes: number, ending: Outcome])[] = [
    [full, { outcome: 'evaluated', perAnchor: [] }],
    [24 + 5, { outcome: 'low-quality', anchor, step: 2, accuracy: 0.1, minAccuracy: 0.5 }],
    [12, { outcome: 'diverged', anchor, step: 0 }],
    [24, { outcome: 'diverged', anchor, step: 1 }],
    [24 + 5, { outcome: 'diverged', anchor, step: 2 }],
    [24 + 5 + 4 * 12, { outcome: 'diverged', anchor, step: 5 }],
    [full, { outcome: 'diverged', anchor, step: 10 }],
    [12, { outcome: 'timeout', anchor, step: 1, seconds: 1 }],
    [24 + 5, { outcome: 'timeout', anchor, step: 2, seconds: 1 }],
    [24 + 5 + 5 * 12, { outcome: 'timeout', anchor, step: 7, seconds: 1 }],
    [0, { outcome: 'crashed', message: 'no luck' }],
    [0, { outcome: 'constant' }],
  ];
  test.each(cases)('%d passes: %j', (passes, ending) => {
    expect(workMeter(protocolOf())(ending)).toBeCloseTo(passes / full, 12);
  });
});

test('a stability test counts its gradients, each of which is a step', () => {
  const anchors = ['mini-wide', 'mini-deep'];
  const stability = { steps: 7, images: 2, anchors: ['mini-deep'] };
  const work = workMeter(protocolOf({ anchors, stability }), protocolOf({ anchors }));
  const before = workMeter(protocolOf({ anchors }));
  const image = networkSize(trainingNetworks(protocolOf({ anchors }))[1]!, parseLayer('x'));
  const [wide, deep] = trainingNetworks(protocolOf({ anchors })).map(
    (network) => networkSize(network, parseLayer('x')).multiplyAdds,
  );
  // As above: a full evaluation without the test.
  const full = (wide! + deep!) * (10 * 12 + 5 + 20);
  const gradients = (count: number) => (count * 3 * 2 * image.multiplyAdds) / full;
  const scored: Outcome = { outcome: 'evaluated', perAnchor: [] };
  expect(work(scored) - before(scored)).toBeCloseTo(gradients(22), 12);
  const at = { anchor: 'mini-deep', gradientNorm: 1e9 };
  const quality = ((wide! + deep!) * (24 + 5)) / full;
  const unstable = (ascentStep: number) => work({ outcome: 'unstable', ...at, ascentStep });
  expect(unstable(0)).toBeCloseTo(quality + gradients(3), 12);
  expect(unstable(2)).toBeCloseTo(quality + gradients(9), 12);
  expect(unstable(7)).toBeCloseTo(quality + gradients(22), 12);
  const later: Outcome = { outcome: 'diverged', anchor: 'mini-wide', step: 5 };
  expect(work(later) - before(later)).toBeCloseTo(gradients(22), 12);
});

/** An engine that counts multiply-adds, and whose loss on one anchor ends at one of its calls. */
function countingEngine(fails: { anchor: string; step: number; accuracy: number }) {
  const counted = { multiplyAdds: 0 };
  const layer = parseLayer('x');
  const engine: Engine = {
    numerics: 'counting',
    open(network) {
      const { multiplyAdds } = networkSize(network, layer);
      const isIt = network.name === fails.anchor;
      let steps = 0;
      return {
        load() {},
        parameters: () => new Float32Array(),
        gradients: () => ({ loss: 0, gradients: new Float32Array() }),
        close() {},
        trainStep(_images, labels) {
          counted.multiplyAdds += 3 * labels.length * multiplyAdds;
          return isIt && steps++ === fails.step ? Number.NaN : 1;
        },
        evaluate(_images, labels) {
          counted.multiplyAdds += labels.length * multiplyAdds;
          const accuracy = isIt ? fails.accuracy : 1;
          return { loss: 1, correct: accuracy * labels.length };
        },
      };
    },
  };
  return { engine, counted };
}

describe('counts what the evaluation really does', () => {
  const dataset = loadDataset('fashion-mnist', { pool: 7 });
  const layer = parseLayer('max(x, 0)');
  const anchors = ['mini-wide', 'mini-deep', 'mini-mobile'];
  const protocol = protocolOf({ anchors });
  const measured = (fails: Parameters<typeof countingEngine>[0]) => {
    const { engine, counted } = countingEngine(fails);
    const ending = evaluateLayer({ layer, protocol, seed: 's', dataset, engine });
    return { ending, ...counted };
  };
  const full = measured({ anchor: 'none', step: 0, accuracy: 1 });

  test('a full evaluation is the unit', () => {
    expect(full.ending.outcome).toBe('evaluated');
    expect(workMeter(protocol)(full.ending)).toBe(1);
  });

  // Step 2 is the first behind the test, which is not told apart from the test itself.
  const steps = [0, 1, 3, 4, 9];
  const diverging = anchors.flatMap((anchor) =>
    steps.map((step) => ({ anchor, step, accuracy: 1 })),
  );
  test.each(diverging)('a loss that ends on $anchor at step $step', (fails) => {
    const { ending, multiplyAdds } = measured(fails);
    expect(ending).toEqual({ outcome: 'diverged', anchor: fails.anchor, step: fails.step });
    expect(workMeter(protocol)(ending)).toBeCloseTo(multiplyAdds / full.multiplyAdds, 12);
  });

  test.each(anchors)('a failed test on %s', (anchor) => {
    const { ending, multiplyAdds } = measured({ anchor, step: -1, accuracy: 0.2 });
    expect(ending).toMatchObject({ outcome: 'low-quality', anchor });
    expect(workMeter(protocol)(ending)).toBeCloseTo(multiplyAdds / full.multiplyAdds, 12);
  });

  test('in units of another protocol, which trains for twice as long', () => {
    const long = protocolOf({ anchors, steps: 20, quality: { steps: 2, images: 5 } });
    const ending = { outcome: 'diverged', anchor: 'mini-deep', step: 5 } as const;
    const units = workMeter(protocol, long)({ outcome: 'evaluated' });
    expect(units).toBeLessThan(1);
    expect(workMeter(protocol, long)(ending)).toBeCloseTo(units * workMeter(protocol)(ending), 12);
    expect(workMeter(long, long)({ outcome: 'evaluated' })).toBe(1);
  });

  test('a protocol without quality test', () => {
    const without = protocolOf({ quality: { steps: 0 } });
    expect(workMeter(without)({ outcome: 'diverged', anchor: 'mini-wide', step: 0 })).toBeCloseTo(
      12 / 140,
      12,
    );
  });
});
