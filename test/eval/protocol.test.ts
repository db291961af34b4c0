import { describe, expect, test } from 'vitest';
import {
  overrideProtocol,
  overridesFromFlags,
  PRESETS,
  PROTOCOL_FLAGS,
  type ProtocolOverrides,
  resolveProtocol,
} from '../../src/eval/presets.ts';
import {
  evaluationSeed,
  type Protocol,
  parseProtocol,
  protocolKey,
} from '../../src/eval/protocol.ts';

const quick = resolveProtocol('quick', {}, 'native/test');
const resolve = (overrides: ProtocolOverrides) =>
  resolveProtocol('quick', overrides, 'native/test');

test('every preset resolves to a valid protocol, which survives JSON', () => {
  for (const name of Object.keys(PRESETS)) {
    const protocol = resolveProtocol(name, {}, 'native/test');
    expect(parseProtocol(JSON.parse(JSON.stringify(protocol)))).toEqual(protocol);
  }
});

describe('overrides', () => {
  test('replace settings one by one', () => {
    const protocol = resolve({ optimiser: { learningRate: 0.05 }, schedule: 'constant' });
    expect(protocol).toEqual({
      ...quick,
      optimiser: { ...quick.optimiser, learningRate: 0.05 },
      schedule: 'constant',
    });
  });

  test('of anchors bring thresholds along: the preset’s, or twice chance', () => {
    const wanted = ['mini-deep', 'mini-mobile', 'resnet50-quarter'];
    const { anchors, quality } = resolve({ anchors: wanted });
    expect(anchors).toEqual(wanted);
    expect(quality.minAccuracy).toEqual({
      'mini-deep': quick.quality.minAccuracy['mini-deep'],
      'mini-mobile': 0.4,
      'resnet50-quarter': 0.2,
    });
    expect(Object.keys(quick.quality.minAccuracy)).toEqual(quick.anchors);
  });

  test('of steps and images shorten the quality test, unless they say it too', () => {
    expect(resolve({ steps: 20 }).quality.steps).toBe(20);
    expect(resolve({ dataset: { validation: 100 } }).quality.images).toBe(100);
    expect(() => resolve({ steps: 20, quality: { steps: 30 } })).toThrow(/quality\.steps is 30/);
  });

  test('may give one threshold for all anchors', () => {
    const { quality } = resolve({ quality: { minAccuracy: 0.5 } });
    expect(quality.minAccuracy).toEqual({ 'mini-wide': 0.5, 'mini-deep': 0.5 });
  });

  test('make a stability test, on the first anchor unless told, or leave it out', () => {
    expect(quick).not.toHaveProperty('stability');
    const usual = { steps: 100, threshold: 1e8, learningRate: 0.03, difference: 1e-5, images: 32 };
    const { stability } = resolve({ stability: {} });
    expect(stability).toEqual({ ...usual, anchors: ['mini-wide'] });
    expect(resolve({ stability: { steps: 7, anchors: ['mini-deep'] } }).stability).toEqual({
      ...{ ...usual, steps: 7, anchors: ['mini-deep'] },
    });
    expect(resolve({ stability: false })).toEqual(quick);
    const tested = resolve({ stability: { images: 16, anchors: ['mini-deep'] } });
    expect(overrideProtocol(tested, {})).toEqual(tested);
    expect(overrideProtocol(tested, { stability: false })).toEqual(quick);
    expect(overrideProtocol(tested, { stability: {} })).toEqual(tested);
    // Of its anchors those stay that there are.
    const other = overrideProtocol(tested, { anchors: ['mini-mobile', 'mini-wide'] });
    expect(other.stability).toEqual({ ...tested.stability, anchors: ['mini-mobile'] });
  });

  test('may pin the numerics', () => {
    expect(resolve({ numerics: 'native/avx2' }).numerics).toBe('native/avx2');
  });
});

describe('flags', () => {
  test('override what they name', () => {
    const flags = {
      steps: '20',
      anchor: ['mini-deep'],
      learningRate: '0.2',
      flip: false,
      seed: 'other',
    };
    expect(resolve(overridesFromFlags(flags))).toEqual(
      resolve({
        steps: 20,
        anchors: ['mini-deep'],
        optimiser: { learningRate: 0.2 },
        augmentation: { flip: false },
      }),
    );
  });

  test('reach every setting that the preset leaves open', () => {
    const paths = Object.values(PROTOCOL_FLAGS).map(({ path }) => path.join('.'));
    const settings = Object.entries(quick).flatMap(([key, value]) =>
      typeof value === 'object' && !Array.isArray(value)
        ? Object.keys(value).map((inner) => `${key}.${inner}`)
        : [key],
    );
    const notByFlag = settings.filter((name) => !paths.includes(name));
    expect(notByFlag).toEqual(['numerics', 'dataset.hash', 'seed']);
    // What a protocol may lack.
    const { stability } = resolve({ stability: {} });
    expect(paths.filter((path) => !settings.includes(path)).sort()).toEqual(
      [
        ...['dataset.fold', 'augmentation.crop', 'stability'],
        ...Object.keys(stability!).map((key) => `stability.${key}`),
      ].sort(),
    );
  });

  test('make the stability test or leave it out, whatever else they say of it', () => {
    const from = (flags: object) => resolve(overridesFromFlags({ ...flags })).stability;
    expect(from({ stability: true })).toEqual(resolve({ stability: {} }).stability);
    expect(from({ stabilitySteps: '7', stability: true })).toMatchObject({ steps: 7 });
    expect(from({ stabilitySteps: '7', stabilityAnchor: 'mini-deep' })).toMatchObject({
      ...{ steps: 7, anchors: ['mini-deep'] },
    });
    expect(from({ stabilitySteps: '7', stability: false })).toBeUndefined();
  });

  test('that are no numbers are shown as they were typed', () => {
    expect(() => resolve(overridesFromFlags({ steps: 'many' }))).toThrow(/steps is "many"/);
  });

  test('take anchors in one word or several', () => {
    const anchors = ['mini-deep', 'mini-wide'];
    expect(overridesFromFlags({ anchor: 'mini-deep,mini-wide' })).toEqual({ anchors });
    expect(overridesFromFlags({ anchor: anchors })).toEqual({ anchors });
  });
});

describe('a wrong setting is named with its value and what would be right', () => {
  const complaint = (overrides: unknown): string => {
    try {
      resolve(overrides as ProtocolOverrides);
    } catch (error) {
      expect(error).toMatchObject({ name: 'UserError', exitCode: 2 });
      return (error as Error).message;
    }
    return 'no complaint';
  };

  test('alone', () => {
    const wrong: unknown[] = [
      { steps: 0 },
      { steps: 1.5 },
      { steps: 'many' },
      { batch: Number.NaN },
      { optimiser: { learningRate: 0 } },
      { optimiser: { momentum: 1 } },
      { optimiser: { weightDecay: Number.POSITIVE_INFINITY } },
      { schedule: 'linear' },
      { augmentation: { flip: 1 } },
      { augmentation: 3 },
      { anchors: [] },
      { anchors: ['mini-wide', 'vgg'] },
      { anchors: 'mini-wide' },
      { dataset: { name: 'imagenet' } },
      { quality: { minAccuracy: 2 } },
      { quality: null },
      { stability: true },
      { stability: { steps: 0 } },
      { stability: { anchors: ['mini-deep', 'mini-deep'] } },
      { stability: { anchors: ['mini-mobile'] } },
      { stability: { rate: 0.1 } },
      { numerics: '' },
      { stepz: 3 },
      { optimiser: { rate: 0.1 } },
      [],
      null,
    ];
    expect(wrong.map(complaint)).toMatchInlineSnapshot(`
      [
        "The protocol: steps is 0; it must be a whole number from 1 to 1,000,000.",
        "The protocol: steps is 1.5; it must be a whole number from 1 to 1,000,000.",
        "The protocol: steps is "many"; it must be a whole number from 1 to 1,000,000.",
        "The protocol: batch is NaN; it must be a whole number from 1 to 10,000.",
        "The protocol: optimiser.learningRate is 0; it must be a number above 0 and up to 100.",
        "The protocol: optimiser.momentum is 1; it must be a number from 0 to 0.9999.",
        "The protocol: optimiser.weightDecay is Infinity; it must be a number from 0 to 1.",
        "The protocol: schedule is "linear"; it must be one of constant, cosine.",
        "The protocol: augmentation.flip is 1; it must be true or false.",
        "The protocol: augmentation is 3; it must be an object with the keys pad, crop, flip.",
        "The protocol: anchors is []; it must be a list of at least one anchor.",
        "The protocol: anchors.1 is "vgg"; it must be one of mini-wide, mini-deep, mini-mobile, mini-efficient, resnet50-quarter, mobilenetv2-half, efficientnet-b0-half.",
        "The protocol: anchors is "mini-wide"; it must be a list of anchors.",
        "The protocol: dataset.name is "imagenet"; it must be one of fashion-mnist, fashion-mnist-full, mnist, cifar10, cifar100, or the path of an .npz file.",
        "The protocol: quality.minAccuracy.mini-wide is 2; it must be a number from 0 to 1.",
        "The protocol: quality is null; it must be an object with the keys steps, images, minAccuracy.",
        "The protocol: stability is true; it must be an object with the keys steps, threshold, learningRate, difference, images, anchors.",
        "The protocol: stability.steps is 0; it must be a whole number from 1 to 10,000.",
        "The protocol: stability.anchors is ["mini-deep","mini-deep"]; it must be a list without repetitions of mini-wide, mini-deep.",
        "The protocol: stability.anchors is ["mini-mobile"]; it must be a list without repetitions of mini-wide, mini-deep.",
        "The protocol has no setting stability.rate; the settings there are steps, threshold, learningRate, difference, images, anchors.",
        "The protocol: numerics is ""; it must be the numerics of an engine.",
        "The protocol has no setting stepz; the settings there are numerics, dataset, anchors, seed, batch, steps, optimiser, schedule, augmentation, groups, movingDecay, quality, stability, timeout. Did you mean steps?",
        "The protocol has no setting optimiser.rate; the settings there are learningRate, momentum, weightDecay.",
        "The protocol is []; it must be an object with the keys numerics, dataset, anchors, seed, batch, steps, optimiser, schedule, augmentation, groups, movingDecay, quality, stability, timeout.",
        "The protocol is null; it must be an object with the keys numerics, dataset, anchors, seed, batch, steps, optimiser, schedule, augmentation, groups, movingDecay, quality, stability, timeout.",
      ]
    `);
  });

  test('together with others', () => {
    const wrong = [
      { dataset: { pool: 3 } },
      { dataset: { validation: 2001 } },
      { dataset: { hash: 'other' } },
      { anchors: ['mini-wide', 'mini-wide'] },
      { quality: { steps: 301 } },
      { quality: { images: 2001 } },
      { quality: { minAccuracy: { 'mini-wid': 0.2 } } },
    ];
    expect(wrong.map(complaint)).toMatchInlineSnapshot(`
      [
        "The protocol: dataset.pool is 3; it must be a divisor of the images' sides, 28 and 28.",
        "The protocol: dataset.validation is 2001; it must be at most 2000, all there are.",
        "The protocol: dataset.hash is "other"; it must be cfe4038a9afeee80, the hash of fashion-mnist.",
        "The protocol: anchors is ["mini-wide","mini-wide"]; it must be a list without repetitions.",
        "The protocol: quality.steps is 301; it must be at most the protocol's steps, 300.",
        "The protocol: quality.images is 2001; it must be at most dataset.validation, 2000.",
        "The protocol: quality.minAccuracy is {"mini-wide":0.35,"mini-deep":0.45,"mini-wid":0.2}; it must be an object with the keys mini-wide, mini-deep.",
      ]
    `);
  });

  test('a stored protocol that lacks something', () => {
    const { steps: _, ...rest } = quick;
    expect(() => parseProtocol(rest)).toThrowErrorMatchingInlineSnapshot(
      `[UserError: The protocol: steps is missing; it must be a whole number from 1 to 1,000,000.]`,
    );
    expect(() =>
      parseProtocol({ ...quick, quality: { ...quick.quality, minAccuracy: { 'mini-wide': 0.2 } } }),
    ).toThrowErrorMatchingInlineSnapshot(
      `[UserError: The protocol: quality.minAccuracy is {"mini-wide":0.2}; it must be an object with the keys mini-wide, mini-deep.]`,
    );
  });

  test('an unknown preset', () => {
    expect(() => resolveProtocol('slow', {}, 'x')).toThrowErrorMatchingInlineSnapshot(
      `[UserError: There is no preset "slow"; the presets are quick, standard, paper-b, paper-s.]`,
    );
  });
});

describe('the key', () => {
  /** One valid change for every setting there is. */
  const changes: Record<keyof Protocol, readonly Protocol[]> = {
    numerics: [{ ...quick, numerics: 'native/other' }],
    dataset: [resolve({ dataset: { pool: 1 } }), resolve({ dataset: { validation: 1999 } })],
    anchors: [
      resolve({ anchors: ['mini-wide'] }),
      { ...quick, anchors: [...quick.anchors].reverse() },
    ],
    seed: [resolve({ seed: 1 })],
    batch: [resolve({ batch: 63 })],
    steps: [resolve({ steps: 301 })],
    optimiser: [
      resolve({ optimiser: { learningRate: 0.11 } }),
      resolve({ optimiser: { momentum: 0.91 } }),
      resolve({ optimiser: { weightDecay: 2e-4 } }),
    ],
    schedule: [resolve({ schedule: 'constant' })],
    augmentation: [
      resolve({ augmentation: { pad: 3 } }),
      resolve({ augmentation: { flip: false } }),
      resolve({ augmentation: { crop: 14 } }),
      resolve({ augmentation: { crop: 12 } }),
    ],
    groups: [resolve({ groups: 7 })],
    movingDecay: [resolve({ movingDecay: 0.91 })],
    quality: [
      resolve({ quality: { steps: 7 } }),
      resolve({ quality: { images: 7 } }),
      resolve({ quality: { minAccuracy: { 'mini-wide': 0.123 } } }),
      resolve({ quality: { minAccuracy: { 'mini-deep': 0.123 } } }),
    ],
    stability: [
      resolve({ stability: {} }),
      resolve({ stability: { steps: 7 } }),
      resolve({ stability: { threshold: 7 } }),
      resolve({ stability: { learningRate: 0.7 } }),
      resolve({ stability: { difference: 1e-3 } }),
      resolve({ stability: { images: 7 } }),
      resolve({ stability: { anchors: ['mini-deep'] } }),
      resolve({ stability: { anchors: ['mini-wide', 'mini-deep'] } }),
    ],
    timeout: [resolve({ timeout: 61 })],
  };

  test('changes with every setting', () => {
    const all = [quick, ...Object.values(changes).flat()];
    expect(new Set(all.map(protocolKey)).size).toBe(all.length);
  });

  test('does not depend on the order of keys', () => {
    const reversed = Object.fromEntries(Object.entries(quick).reverse()) as Protocol;
    expect(Object.keys(reversed)).not.toEqual(Object.keys(quick));
    expect(protocolKey(reversed)).toBe(protocolKey(quick));
  });

  test('stays what it is in databases', () => {
    const { hash: _, ...dataset } = quick.dataset;
    expect(protocolKey(resolve({ dataset }))).toBe(protocolKey(quick));
    expect(protocolKey({ ...quick, numerics: 'native/avx512' })).toBe('9826b1fd08b2cced');
  });

  test('is short and printable', () => {
    expect(protocolKey(quick)).toMatch(/^[0-9a-f]{16}$/);
  });
});

test('the seed of an evaluation differs by protocol seed, function and repeat', () => {
  const other = { ...quick, seed: 1 };
  const seeds = [
    evaluationSeed(quick, 'f', 0),
    evaluationSeed(quick, 'f', 1),
    evaluationSeed(quick, 'g', 0),
    evaluationSeed(other, 'f', 0),
  ];
  expect(new Set(seeds).size).toBe(4);
});
