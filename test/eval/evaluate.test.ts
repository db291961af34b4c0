import { describe, expect, test } from 'vitest';
import { loadDataset } from '../../src/eval/data.ts';
import type { Engine, Session } from '../../src/eval/engine.ts';
import { type Evaluation, evaluateLayer, type Progress } from '../../src/eval/evaluate.ts';
import { describeOutcome, OUTCOME_NAMES, type Outcome } from '../../src/eval/outcome.ts';
import { type ProtocolOverrides, resolveProtocol } from '../../src/eval/presets.ts';
import { referenceEngine } from '../../src/eval/reference.ts';
import { parseLayer } from '../../src/graph/text.ts';

/** 4×4 images: small enough for the reference engine. */
const dataset = loadDataset('fashion-mnist', { pool: 7 });
const evoNorm = parseLayer('x * sigmoid(v1 * x) / std[whc/g](x)');
const small: ProtocolOverrides = {
  dataset: { pool: 7, validation: 40 },
  anchors: ['mini-deep', 'mini-wide'],
  batch: 4,
  steps: 3,
  quality: { steps: 2, images: 20, minAccuracy: 0 },
};

const evaluation = (engine: Engine, overrides: ProtocolOverrides = {}): Evaluation => ({
  layer: evoNorm,
  protocol: resolveProtocol('quick', { ...small, ...overrides }, engine.numerics),
  seed: 'seed',
  dataset,
  engine,
});

/** Everything but the time. */
const timeless = (outcome: Outcome) =>
  outcome.outcome === 'evaluated'
    ? outcome.perAnchor.map(({ seconds: _, ...score }) => score)
    : outcome;

describe('with the reference engine', () => {
  const engine = referenceEngine();

  test('a layer gets one score per anchor, the same every time', () => {
    const first = evaluateLayer(evaluation(engine));
    expect(first).toMatchObject({
      outcome: 'evaluated',
      perAnchor: [
        { anchor: 'mini-deep', steps: 3, accuracy: expect.any(Number), loss: expect.any(Number) },
        { anchor: 'mini-wide', steps: 3, seconds: expect.any(Number) },
      ],
    });
    expect(timeless(evaluateLayer(evaluation(engine)))).toEqual(timeless(first));
  });

  test('the quality test takes part in the training and does not change it', () => {
    const one = { anchors: ['mini-deep'] };
    const off = { ...one, quality: { ...small.quality, steps: 0 } };
    expect(timeless(evaluateLayer(evaluation(engine, one)))).toEqual(
      timeless(evaluateLayer(evaluation(engine, off))),
    );
  });

  test('the seed decides', () => {
    const one = evaluation(engine, { anchors: ['mini-deep'] });
    expect(timeless(evaluateLayer({ ...one, seed: 'other' }))).not.toEqual(
      timeless(evaluateLayer(one)),
    );
  });

  test('a layer that explodes diverges', () => {
    const layer = parseLayer('exp(exp(square(x)))');
    expect(evaluateLayer({ ...evaluation(engine), layer })).toEqual({
      outcome: 'diverged',
      anchor: 'mini-deep',
      step: 0,
    });
  });

  test('a layer that learns too little is of low quality', () => {
    const strict = {
      quality: { ...small.quality, minAccuracy: { 'mini-deep': 0, 'mini-wide': 1 } },
    };
    const outcome = evaluateLayer(evaluation(engine, strict));
    expect(outcome).toMatchObject({
      outcome: 'low-quality',
      anchor: 'mini-wide',
      step: 2,
      minAccuracy: 1,
    });
  });
});

/** An engine without arithmetic: what its sessions answer is given, what they are asked is recorded. */
function scripted(answers: {
  loss?: (anchor: string, step: number) => number;
  score?: (anchor: string, step: number) => { loss: number; correct: number };
}) {
  const log: string[] = [];
  const open: Engine['open'] = (network): Session => {
    let step = 0;
    log.push(`${network.name} open`);
    return {
      load: (parameters) => log.push(`${network.name} load ${parameters.length > 0}`),
      parameters: () => new Float32Array(),
      trainStep: (_images, labels, rate) => {
        log.push(`${network.name} step of ${labels.length} at ${rate.toFixed(3)}`);
        step++;
        return answers.loss?.(network.name, step - 1) ?? 1;
      },
      gradients: () => ({ loss: 0, gradients: new Float32Array() }),
      evaluate: (images, labels) => {
        log.push(
          `${network.name} evaluate ${labels.length} images of ${images.length / labels.length}`,
        );
        return answers.score?.(network.name, step) ?? { loss: 1, correct: labels.length / 2 };
      },
      close: () => log.push(`${network.name} close`),
    };
  };
  return { engine: { numerics: 'scripted', open }, log };
}

describe('the order of work', () => {
  test('is the quality test on every anchor, then the rest on every anchor', () => {
    const { engine, log } = scripted({});
    expect(timeless(evaluateLayer(evaluation(engine)))).toEqual([
      { anchor: 'mini-deep', accuracy: 0.5, loss: 1, steps: 3 },
      { anchor: 'mini-wide', accuracy: 0.5, loss: 1, steps: 3 },
    ]);
    expect(log).toMatchInlineSnapshot(`
      [
        "mini-deep open",
        "mini-deep load true",
        "mini-deep step of 4 at 0.100",
        "mini-deep step of 4 at 0.075",
        "mini-deep evaluate 20 images of 16",
        "mini-wide open",
        "mini-wide load true",
        "mini-wide step of 4 at 0.100",
        "mini-wide step of 4 at 0.075",
        "mini-wide evaluate 20 images of 16",
        "mini-deep step of 4 at 0.025",
        "mini-deep evaluate 40 images of 16",
        "mini-wide step of 4 at 0.025",
        "mini-wide evaluate 40 images of 16",
        "mini-deep close",
        "mini-wide close",
      ]
    `);
  });

  test('ends with the first failure, and always closes what was opened', () => {
    const { engine, log } = scripted({ loss: (_, step) => (step < 1 ? 1 : Number.NaN) });
    expect(evaluateLayer(evaluation(engine))).toEqual({
      outcome: 'diverged',
      anchor: 'mini-deep',
      step: 1,
    });
    expect(log.filter((line) => /open|close/.test(line))).toEqual([
      'mini-deep open',
      'mini-deep close',
    ]);
  });

  test('closes sessions when something is wrong with the engine', () => {
    const { engine, log } = scripted({
      loss: () => {
        throw new Error('no more memory');
      },
    });
    expect(() => evaluateLayer(evaluation(engine))).toThrow('no more memory');
    expect(log.at(-1)).toBe('mini-deep close');
  });

  test('reports each step', () => {
    const { engine } = scripted({ loss: (_, step) => 5 - step });
    const seen: Progress[] = [];
    evaluateLayer({ ...evaluation(engine), onProgress: (progress) => seen.push(progress) });
    expect(
      seen.map(({ anchor, step, steps, loss }) => `${anchor} ${step}/${steps}: ${loss}`),
    ).toEqual([
      'mini-deep 1/3: 5',
      'mini-deep 2/3: 4',
      'mini-wide 1/3: 5',
      'mini-wide 2/3: 4',
      'mini-deep 3/3: 3',
      'mini-wide 3/3: 3',
    ]);
  });
});

describe('rejections', () => {
  test('a loss that is not finite after the last step is divergence too', () => {
    const { engine } = scripted({
      score: (_, step) => ({ loss: step < 3 ? 1 : Number.POSITIVE_INFINITY, correct: 20 }),
    });
    expect(evaluateLayer(evaluation(engine))).toEqual({
      outcome: 'diverged',
      anchor: 'mini-deep',
      step: 3,
    });
  });

  test('accuracy exactly at the threshold passes, one image less does not', () => {
    const strict = { quality: { ...small.quality, minAccuracy: 0.5 } };
    const outcome = (correct: number) => {
      const { engine } = scripted({ score: () => ({ loss: 1, correct }) });
      return evaluateLayer(evaluation(engine, strict));
    };
    expect(outcome(10).outcome).toBe('evaluated');
    expect(outcome(9)).toEqual({
      outcome: 'low-quality',
      anchor: 'mini-deep',
      step: 2,
      accuracy: 0.45,
      minAccuracy: 0.5,
    });
  });

  test('the clock stops an evaluation that takes too long', () => {
    let now = 0;
    const { engine } = scripted({ loss: () => now++ });
    const hurried = { ...evaluation(engine, { timeout: 0.002 }), now: () => now };
    expect(evaluateLayer(hurried)).toEqual({
      outcome: 'timeout',
      anchor: 'mini-wide',
      step: 1,
      seconds: 0.002,
    });
  });
});

test('an engine or data set that is not the protocol’s is a bug', () => {
  const { engine } = scripted({});
  const other = { ...engine, numerics: 'other' };
  expect(() => evaluateLayer({ ...evaluation(engine), engine: other })).toThrow(
    'internal: evaluation with numerics other for a protocol with scripted',
  );
  const wrong = loadDataset('fashion-mnist', { pool: 14 });
  expect(() => evaluateLayer({ ...evaluation(engine), dataset: wrong })).toThrow(
    'internal: evaluation with pool 14 for a protocol with 7',
  );
});

test('every outcome has a sentence with its numbers', () => {
  const at = { anchor: 'mini-deep', step: 100 };
  const outcomes: Outcome[] = [
    { outcome: 'not-finite' },
    { outcome: 'constant' },
    { outcome: 'batch-dependent' },
    { outcome: 'low-quality', ...at, accuracy: 0.123, minAccuracy: 0.3 },
    { outcome: 'diverged', ...at },
    { outcome: 'unstable', anchor: 'mini-deep', ascentStep: 5, gradientNorm: 3.2e9 },
    { outcome: 'timeout', ...at, seconds: 60 },
    { outcome: 'crashed', message: 'out of memory' },
    {
      outcome: 'evaluated',
      perAnchor: [{ anchor: 'mini-deep', accuracy: 0.8215, loss: 0.5, steps: 300, seconds: 1 }],
    },
  ];
  expect(outcomes.map(({ outcome }) => outcome)).toEqual(OUTCOME_NAMES);
  expect(outcomes.map(describeOutcome)).toMatchInlineSnapshot(`
    [
      "values or gradients of the layer are not finite",
      "the output does not depend on the input",
      "the layer depends on the batch",
      "12.3 % on mini-deep after 100 steps, where 30.0 % are wanted",
      "the loss on mini-deep is not finite after 100 steps",
      "the gradient on mini-deep reaches 3.2e+9 in ascent step 5",
      "60 s were over after 100 steps on mini-deep",
      "the worker crashed: out of memory",
      "mini-deep 82.2 %",
    ]
  `);
});
