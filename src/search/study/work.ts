import type { Ending } from '../../../db/work.ts';
import type { Network } from '../../eval/network.ts';
import type { Protocol } from '../../eval/protocol.ts';
import { protocolNetworks } from '../../eval/protocol-networks.ts';
import { networkSize } from '../../eval/size.ts';
import { ZOO } from '../../graph/zoo.ts';

/** The backward pass computes two products, for the gradients of inputs and of weights, where the forward pass computes one. */
const PASSES = 3;

/** Multiply-adds that an evaluation spends on one anchor. */
interface AnchorWork {
  readonly anchor: string;
  readonly step: number;
  /** The steps up to the quality test, and the test. */
  readonly tested: number;
  /** The steps behind the test, and the validation. */
  readonly rest: number;
}

function anchorWork(network: Network, { batch, steps, quality, dataset }: Protocol): AnchorWork {
  // The layer itself has no convolutions, so any will do.
  const { multiplyAdds } = networkSize(network, ZOO[0]!.layer);
  const step = PASSES * batch * multiplyAdds;
  const images = quality.steps > 0 ? quality.images : 0;
  return {
    anchor: network.name,
    step,
    tested: quality.steps * step + images * multiplyAdds,
    rest: (steps - quality.steps) * step + dataset.validation * multiplyAdds,
  };
}

const sum = (values: readonly number[]): number => values.reduce((a, b) => a + b, 0);

/** The multiply-adds of an evaluation, which takes the funnel of `evaluateLayer` up to where it ended. */
function multiplyAddsOf(ending: Ending, work: readonly AnchorWork[], protocol: Protocol): number {
  const { steps, quality } = protocol;
  const tests = (anchors: number) => sum(work.slice(0, anchors).map(({ tested }) => tested));
  const rests = (anchors: number) => sum(work.slice(0, anchors).map(({ rest }) => rest));
  const all = work.length;
  if (ending.outcome === 'evaluated') return tests(all) + rests(all);
  if (!('anchor' in ending)) return 0;
  const at = work.findIndex(({ anchor }) => anchor === ending.anchor);
  const { step, rest } = work[at]!;
  switch (ending.outcome) {
    case 'low-quality':
      return tests(at + 1);
    case 'unstable':
      return tests(all);
    case 'timeout':
      return ending.step < quality.steps
        ? tests(at) + ending.step * step
        : tests(all) + rests(at) + (ending.step - quality.steps) * step;
    case 'diverged': {
      // The step that gave no finite loss was taken as well.
      const taken = ending.step + 1;
      if (ending.step < quality.steps) return tests(at) + taken * step;
      // At the test itself; or in the step behind it, which is not told apart and is rarer.
      if (quality.steps > 0 && ending.step === quality.steps) return tests(at + 1);
      const more = ending.step < steps ? (taken - quality.steps) * step : rest;
      return tests(all) + rests(at) + more;
    }
  }
}

/**
 * The work of evaluations under a protocol, in *full evaluations*: 1 is the training of one candidate to
 * the end on every anchor, with its quality tests and validations. It counts the multiply-adds of the
 * networks, so it is the same on every machine; what the candidate layers themselves cost is left out, and
 * a crash, of which nobody knows how far it came, counts as nothing.
 */
export function workMeter(protocol: Protocol): (ending: Ending) => number {
  const work = protocolNetworks(protocol).map((network) => anchorWork(network, protocol));
  const full = sum(work.map(({ tested, rest }) => tested + rest));
  return (ending) => multiplyAddsOf(ending, work, protocol) / full;
}
