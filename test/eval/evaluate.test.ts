import { describe, expect, test } from 'vitest';
import { loadDataset } from '../../src/eval/data.ts';
import type { Engine, Session } from '../../src/eval/engine.ts';
import { type Evaluation, evaluateLayer, type Progress } from '../../src/eval/evaluate.ts';
import { nativeEngine } from '../../src/eval/native/engine.ts';
import {
  describeOutcome,
  type Evaluated,
  OUTCOME_NAMES,
  type Outcome,
} from '../../src/eval/outcome.ts';
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
  gradient?: (anchor: string) => number;
}) {
  const log: string[] = [];
  const open: Engine['open'] = (network): Session => {
    let step = 0;
    let parameters = 0;
    log.push(`${network.name} open`);
    return {
      load: ({ length }) => {
        parameters = length;
        log.push(`${network.name} load ${length > 0}`);
      },
      parameters: () => new Float32Array(),
      trainStep: (_images, labels, rate) => {
        log.push(`${network.name} step of ${labels.length} at ${rate.toFixed(3)}`);
        step++;
        return answers.loss?.(network.name, step - 1) ?? 1;
      },
      gradients: (_images, labels) => {
        log.push(`${network.name} gradients of ${labels.length}`);
        const value = answers.gradient?.(network.name) ?? 0;
        return { loss: 0, gradients: new Float32Array(parameters).fill(value) };
      },
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
      { anchor: 'mini-deep', accuracy: 0.5, loss: 1, steps: 3, curve: [1, 1, 1] },
      { anchor: 'mini-wide', accuracy: 0.5, loss: 1, steps: 3, curve: [1, 1, 1] },
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
    const outcome = evaluateLayer({
      ...evaluation(engine),
      onProgress: (progress) => seen.push(progress),
    });
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
    expect(outcome).toMatchObject({ perAnchor: [{ curve: [5, 4, 3] }, { curve: [5, 4, 3] }] });
  });
});

/** As `scripted`, with sessions that do several steps at a time; `log` has how many. */
function inStretches(answers: Parameters<typeof scripted>[0]) {
  const { engine } = scripted(answers);
  const log: number[] = [];
  const open: Engine['open'] = (...what) => {
    const session = engine.open(...what);
    return {
      ...session,
      trainSteps: (batches, rates) => {
        log.push(rates.length);
        return rates.map((rate) => {
          const { images, labels } = batches.next();
          return session.trainStep(images, labels, rate);
        });
      },
    };
  };
  return { engine: { ...engine, open }, log };
}

describe('steps whose losses are read together', () => {
  const long = {
    anchors: ['mini-deep'],
    ...{ steps: 70, quality: { ...small.quality, steps: 30 } },
  };
  const outcomeOf = ({ engine }: { engine: Engine }, more: Partial<Evaluation> = {}) => {
    const seen: Progress[] = [];
    const onProgress = (progress: Progress) => seen.push(progress);
    const outcome = evaluateLayer({
      ...evaluation(engine, long),
      now: () => 0,
      ...more,
      onProgress,
    });
    return { outcome: timeless(outcome), seen };
  };

  test.each([
    ['a finite loss', (step: number) => 3 / (1 + step)],
    ['one in the middle of a stretch that is not', (step: number) => (step < 37 ? 1 : Number.NaN)],
    ['the only one that is not', (step: number) => (step === 25 ? Number.POSITIVE_INFINITY : 1)],
    ['the first one of all that is not', () => Number.NaN],
  ])('give the same outcome and progress with %s', (_, lossAt) => {
    const answers = { loss: (_: string, step: number) => lossAt(step) };
    const together = inStretches(answers);
    expect(outcomeOf(together)).toEqual(outcomeOf(scripted(answers)));
    expect(together.log[0]).toBe(1);
  });

  test('are twenty at most, and end where the quality test does', () => {
    const { engine, log } = inStretches({});
    outcomeOf({ engine });
    expect(log).toEqual([1, 20, 9, 20, 20]);
  });

  test('are as many as take a quarter of a second', () => {
    let now = 0;
    const { engine, log } = inStretches({ loss: (_, step) => (now += step < 13 ? 60 : 400) });
    outcomeOf({ engine }, { now: () => now });
    // How long the next steps take is known only from those before.
    expect(log).toEqual([1, 4, 4, 4, 4, ...Array(53).fill(1)]);
  });

  test('do not make an evaluation longer than its timeout by more than that', () => {
    let now = 0;
    const { engine } = inStretches({ loss: () => (now += 100) });
    const overrides = { ...long, timeout: 1 };
    const outcome = evaluateLayer({ ...evaluation(engine, overrides), now: () => now });
    expect(outcome).toEqual({ outcome: 'timeout', anchor: 'mini-deep', step: 11, seconds: 1 });
  });

  test('score as many validation images as were asked for', () => {
    const asked: unknown[] = [];
    const { engine } = inStretches({});
    const open: Engine['open'] = (...what) => ({
      ...engine.open(...what),
      evaluateFirst: (count, source) => {
        asked.push([count, source.split === dataset.validation, source.black]);
        return { loss: 2, correct: count / 4 };
      },
    });
    const { outcome } = outcomeOf({ engine: { ...engine, open } });
    expect(outcome).toMatchObject([{ anchor: 'mini-deep', accuracy: 0.25, loss: 2, steps: 70 }]);
    const black = -dataset.mean / dataset.std;
    expect(asked).toEqual([20, 40].map((count) => [count, true, black]));
  });
});

describe('the stability test', () => {
  const tested = { stability: { steps: 1, images: 2 } };

  test('comes after all quality tests, on a session of its own, on the anchors that are asked for', () => {
    const { engine, log } = scripted({ gradient: () => 1 });
    const both = { stability: { ...tested.stability, anchors: ['mini-wide', 'mini-deep'] } };
    evaluateLayer(evaluation(engine, both));
    const test = (anchor: string) => [
      `${anchor} open`,
      // At the weights, and at two beside them, in the direction of the gradient; it is the same there.
      ...[1, 2, 3].flatMap(() => [`${anchor} load true`, `${anchor} gradients of 2`]),
      `${anchor} close`,
    ];
    const first = log.indexOf('mini-wide evaluate 20 images of 16') + 1;
    const last = log.indexOf('mini-deep step of 4 at 0.025');
    expect(log.slice(first, last)).toEqual([...test('mini-deep'), ...test('mini-wide')]);
    expect(log.filter((line) => line.includes('gradients'))).toHaveLength(6);
  });

  test('does not change the training, and tells its numbers beside the scores', () => {
    for (const engine of [referenceEngine(), nativeEngine()]) {
      const outcome = evaluateLayer(evaluation(engine, tested)) as Evaluated;
      const [deep, wide] = outcome.perAnchor;
      // The first anchor, where none is asked for.
      expect(deep!.stability).toEqual({
        gradientNorm: expect.toSatisfy((norm: number) => norm > 0 && norm < 1e8),
        greatestNorm: expect.toSatisfy((norm: number) => norm >= deep!.stability!.gradientNorm),
        greatestAt: expect.toBeOneOf([0, 1]),
      });
      expect(wide).not.toHaveProperty('stability');
      const perAnchor = outcome.perAnchor.map(({ stability: _, ...score }) => score);
      expect(timeless({ ...outcome, perAnchor })).toEqual(
        timeless(evaluateLayer(evaluation(engine))),
      );
    }
  });

  test.each([
    ['more than the threshold', 2e8, '2.0e+8'],
    ['not finite', Number.NaN, 'not finite'],
  ])('rejects a gradient that is %s, and closes what it opened', (_, value, told) => {
    const wanted = { stability: { ...tested.stability, anchors: ['mini-wide'] } };
    const { engine, log } = scripted({
      gradient: (anchor) => (anchor === 'mini-wide' ? value : 0),
    });
    const outcome = evaluateLayer(evaluation(engine, wanted));
    expect(outcome).toMatchObject({ outcome: 'unstable', anchor: 'mini-wide', ascentStep: 0 });
    const { gradientNorm } = outcome as { gradientNorm: number };
    expect(gradientNorm <= 1e8).toBe(false);
    expect(describeOutcome(outcome)).toContain(Number.isNaN(value) ? told : 'mini-wide');
    expect(log.slice(-3)).toEqual(['mini-wide close', 'mini-deep close', 'mini-wide close']);
  });

  test('rejects what the training would let pass', () => {
    const engine = nativeEngine();
    const relu = { layer: parseLayer('max(x, 0)') };
    const off = evaluation(engine, { anchors: ['mini-deep'] });
    expect(evaluateLayer({ ...off, ...relu }).outcome).toBe('evaluated');
    const on = evaluation(engine, { anchors: ['mini-deep'], stability: {} });
    expect(evaluateLayer({ ...on, ...relu })).toMatchObject({
      outcome: 'unstable',
      anchor: 'mini-deep',
      ascentStep: expect.toSatisfy((step: number) => step > 0 && step < 100),
      gradientNorm: expect.toSatisfy((norm: number) => !(norm <= 1e8)),
    });
  });

  test('takes time that counts', () => {
    let now = 0;
    const { engine } = scripted({ gradient: () => ++now });
    const hurried = { ...evaluation(engine, { ...tested, timeout: 0.002 }), now: () => now };
    expect(evaluateLayer(hurried)).toEqual({
      ...{ outcome: 'timeout', anchor: 'mini-deep', step: 2, seconds: 0.002 },
    });
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
