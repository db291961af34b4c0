import fc from 'fast-check';
import { expect, test } from 'vitest';
import { ParetoFront } from '../../src/search/front.ts';
import { paretoFront } from '../../src/search/select.ts';

const accuracy = fc.integer({ min: 0, max: 6 }).map((n) => n / 6);

test('a front that grows one by one is the front of all', () => {
  fc.assert(
    fc.property(fc.array(fc.array(accuracy, { minLength: 3, maxLength: 3 })), (all) => {
      const members = all.map((accuracies, index) => ({
        ...{ index, accuracies },
        functionalKey: accuracies.join(),
      }));
      const front = new ParetoFront();
      for (const member of members) front.add(member);
      const first = new Map(members.toReversed().map((m) => [m.functionalKey, m]));
      const expected = paretoFront([...first.values()]);
      const indices = (list: readonly { index: number }[]) => list.map(({ index }) => index);
      expect(indices(front.members).sort()).toEqual(indices(expected).sort());
      const tops = [0, 1, 2].map((i) => Math.max(...all.map((a) => a[i]!)));
      expect(front.extremes()).toEqual(all.length > 0 ? tops : []);
    }),
  );
});
