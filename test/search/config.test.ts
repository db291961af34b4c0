import { describe, expect, test } from 'vitest';
import { UserError } from '../../src/errors.ts';
import { protocolKey } from '../../src/eval/protocol.ts';
import {
  type ConfigSources,
  resolveSearchConfig,
  searchConfigSchema,
} from '../../src/search/config.ts';

const resolve = (sources: Omit<ConfigSources, 'numerics'> = {}) =>
  resolveSearchConfig({ numerics: 'native/avx2', ...sources });

const complaint = (sources: Omit<ConfigSources, 'numerics'>): string => {
  try {
    resolve(sources);
  } catch (error) {
    if (error instanceof UserError) return error.message;
    throw error;
  }
  throw new Error('expected a UserError');
};

describe('the configuration', () => {
  test('goes from defaults over preset and file to flags', () => {
    const config = resolve({
      file: { stop: { proposals: 10 }, seed: 3, protocol: { steps: 100 } },
      flags: { stop: { proposals: 20 }, protocol: { batch: 32 } },
    });
    expect(config).toMatchObject({
      stop: { proposals: 20 },
      seed: 3,
      population: 100,
      genomeNodes: 10,
    });
    expect(config.protocol).toMatchObject({ steps: 100, batch: 32, numerics: 'native/avx2' });
  });

  test('survives JSON, and is as valid then', () => {
    const config = resolve();
    const again = searchConfigSchema.parse(JSON.parse(JSON.stringify(config)));
    expect(again).toEqual(config);
    expect(protocolKey(again.protocol)).toBe(protocolKey(config.protocol));
  });

  test.each([
    [
      { stop: { proposals: 0 } },
      'stop.proposals is 0; it must be a whole number from 1 to 1,000,000,000.',
    ],
    [{ exploration: 1.5 }, 'exploration is 1.5; it must be a number from 0 to 1.'],
    [{ seed: 'x' }, 'seed is "x"; it must be a whole number from 0 to 4,294,967,295.'],
    [{ criterion: 'best' }, 'criterion is "best"; it must be one of pareto, average.'],
    [{ baselines: ['BN-RELU'] }, 'baselines.0 is "BN-RELU"; it must be one of BN-ReLU,'],
    [{ baselines: ['SiLU', 'SiLU'] }, 'baselines is ["SiLU","SiLU"]; it must be a list without'],
    [{ primitiveWeights: { add: -1 } }, 'primitiveWeights.add is -1; it must be a number from 0'],
    [{ primitiveWeights: { 'mean[x]': 1 } }, 'mean[x]'],
    [{ stop: { seconds: '8x' } }, 'stop.seconds is "8x"; it must be a number of seconds above 0'],
    [{ stop: { fitness: 1.5 } }, 'stop.fitness is 1.5; it must be a number from 0 to 1.'],
    [{ stop: { patience: 0.5 } }, 'stop.patience is 0.5; it must be a whole number from 1'],
    [{ stop: { proposal: 5 } }, 'stop.proposal; the settings there are proposals, evaluations,'],
    [
      { cache: { by: 'name' } },
      'cache.by is "name"; it must be one of nothing, structure, function.',
    ],
    [
      { cache: { mantissaBits: 53 } },
      'cache.mantissaBits is 53; it must be a whole number from 1 to 52',
    ],
    [{ cache: { evaluations: 0 } }, 'cache.evaluations is 0; it must be a whole number from 1 to'],
    [{ cache: { audit: 2 } }, 'cache.audit is 2; it must be a number from 0 to 1.'],
    [{ rejectionAudit: -1 }, 'rejectionAudit is -1; it must be a number from 0 to 1.'],
    [
      { tabu: { limits: 2 } },
      'has no setting tabu.limits; the settings there are limit, attempts.',
    ],
    [{ space: { name: 'activation' } }, 'one of paper, activations. Did you mean activations?'],
    [{ space: 'paper' }, 'space is "paper"; it must be an object with the keys name, ops,'],
    [{ space: { op: [] } }, 'has no setting space.op; the settings there are name, ops,'],
    [{ space: { ops: [] } }, 'space.ops is []; it must be a list of at least one of add, mul,'],
    [{ space: { ops: ['mull'] } }, 'space.ops.0 is "mull"; it must be one of add, mul,'],
    [{ space: { indexSets: ['c'] } }, 'indexSets.0 is "c"; it must be one of bwh, whc, wh, whc/g.'],
    [
      { space: { indexSets: [] } },
      'space.indexSets is []; it must be a list of at least one of bwh, whc, wh, whc/g, for ops has mean.',
    ],
    [
      { space: { initialNodes: ['0', 'v1'] } },
      'it must be a list of x, 0, v0, v1 that has x, for without it no layer depends on its input.',
    ],
    [
      { space: { ops: ['neg'] }, primitiveWeights: { neg: 0 } },
      'an object that leaves at least one primitive of the space above 0.',
    ],
    [
      { space: { name: 'activations' }, warmStart: ['DyT', 'GN-ReLU'] },
      'warmStart.1 is "GN-ReLU"; it must be a layer of the space, which has no mean.',
    ],
    [
      { space: { indexSets: ['wh'] }, warmStart: ['BN-ReLU'] },
      'a layer of the space, which has no mean[bwh].',
    ],
    [
      { space: { initialNodes: ['x'] }, warmStart: ['DyT'] },
      'a layer of the space, which has no v1.',
    ],
    [{ proposals: 5 }, 'has no setting proposals; the settings there are seed, stop,'],
    [{ windows: 5 }, 'has no setting windows'],
    [{ protocol: 3 }, 'protocol is 3; it must be an object.'],
    [{ protocol: { steps: -1 } }, 'steps is -1; it must be a whole number from 1'],
  ])('is refused with a sentence: %j', (file, sentence) => {
    expect(complaint({ file })).toContain(sentence);
    expect(complaint({ flags: file })).toContain(sentence);
  });

  test('is refused where no primitive is left, or the preset or file make no sense', () => {
    const all = Object.fromEntries(
      ['add', 'mul', 'div', 'max', 'neg', 'sigmoid', 'tanh', 'exp', 'log', 'abs', 'square', 'sqrt']
        .concat(
          ['mean', 'rms', 'std'].flatMap((m) =>
            ['bwh', 'whc', 'wh', 'whc/g'].map((i) => `${m}[${i}]`),
          ),
        )
        .map((name) => [name, 0]),
    );
    expect(complaint({ file: { primitiveWeights: all } })).toContain('at least one primitive');
    expect(complaint({ preset: 'slow' })).toContain('There is no preset "slow"');
    expect(complaint({ file: [1] })).toContain('must hold a JSON object');
  });

  test('holds what a named space stands for, and what is given besides', () => {
    const { space, warmStart } = resolve();
    expect(space.ops).toHaveLength(15);
    expect(resolve({ file: { space: { name: 'paper' } } }).space).toEqual(space);
    const named = resolve({ file: { space: { name: 'activations', initialNodes: ['v1', 'x'] } } });
    expect(named.space).toEqual({
      ops: space.ops.slice(0, 12),
      indexSets: [],
      initialNodes: ['x', 'v1'],
    });
    // The preset's layers that lie outside are left out; those that are given are refused.
    expect(warmStart).toEqual(['BN-ReLU', 'GN-ReLU', 'DyT']);
    expect(named.warmStart).toEqual(['DyT']);
    expect(named.baselines).toContain('BN-ReLU');
    expect(searchConfigSchema.parse(JSON.parse(JSON.stringify(named)))).toEqual(named);
  });

  test('begins searches for batch-independent layers with those of the preset’s layers that are', () => {
    const { warmStart, baselines } = resolve({ flags: { batchIndependent: true } });
    expect(warmStart).toEqual(['GN-ReLU', 'DyT']);
    expect(baselines).toContain('BN-ReLU');
    expect(resolve({ file: { batchIndependent: true, warmStart: ['BN-ReLU'] } }).warmStart).toEqual(
      ['BN-ReLU'],
    );
    expect(resolve({ preset: 'paper-s' })).toMatchObject({
      ...{ batchIndependent: true, warmStart: [], population: 2500, exploration: 0.5 },
      protocol: { steps: 5000, schedule: 'cosine', batch: 128, augmentation: { crop: 24 } },
    });
  });

  test('takes a name from a flag for all that the file says of the space', () => {
    const file = { space: { ops: ['mul'], initialNodes: ['x'] } };
    const { space } = resolve({ file, flags: { space: { name: 'paper', indexSets: ['wh'] } } });
    expect(space).toEqual({ ...resolve().space, indexSets: ['wh'] });
    const flags = { space: { ops: ['max', 'tanh', 'mul', 'mul'] } };
    expect(resolve({ file, flags }).space).toMatchObject({
      ...{ ops: ['mul', 'max', 'tanh'], initialNodes: ['x'] },
    });
  });
});
