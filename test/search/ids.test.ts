import fc from 'fast-check';
import { expect, test } from 'vitest';
import { candidateId, parseCandidateId } from '../../src/search/ids.ts';

test('ids and places of candidates are each other’s inverse', () => {
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 1e9 }), fc.nat(1e9), (run, index) => {
      expect(parseCandidateId(candidateId({ run, index }))).toEqual({ run, index });
    }),
  );
});

test.each(['', 'r3', 'r0-1', 'r3-01', 'r3--1', 'r3-1x', 'R3-1', 'x - v0', ' r3-1'])(
  '%j is no id',
  (text) => expect(parseCandidateId(text)).toBeNull(),
);
