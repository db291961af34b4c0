import type { Ending } from '../../../db/work.ts';
import type { Network } from '../../eval/network.ts';
import type { Protocol } from '../../eval/protocol.ts';
import { protocolNetworks, trainingNetworks } from '../../eval/protocol-networks.ts';
import { networkSize } from '../../eval/size.ts';
import { gradientsOf } from '../../eval/stability.ts';
import { ZOO } from '../../graph/zoo.ts';

/** The backward pass computes two products, for the gradients of inputs and of weights, where the forward pass computes one. */
const PASSES = 3;

/** Multiply-adds that an evaluation spends on one anchor. */
interface AnchorWork {
  readonly anchor: string;
  readonly step: number;
  /** The steps up to the quality test, and the test. */
  readonly tested: number;
  /** A gradient of the stability test; 0 where it is not made here. */
  readonly gradient: number;
  /** The stability test, if it is passed. */
  readonly stability: number;
  /** The steps behind the tests, and the validation. */
  readonly rest: number;
}

// The layer itself has no convolutions, so any will do.
const multiplyAddsIn = (network: Network): number =>
  networkSize(network, ZOO[0]!.layer).multiplyAdds;

function anchorWork(
  training: Network,
  network: Network,
  { batch, steps, quality, stability, dataset }: Protocol,
): AnchorWork {
  const multiplyAdds = multiplyAddsIn(network);
  const step = PASSES * batch * multiplyAddsIn(training);
  const images = quality.steps > 0 ? quality.images : 0;
  const tested = stability?.anchors.includes(network.name) ? stability.images : 0;
  const gradient = PASSES * tested * multiplyAddsIn(training);
  return {
    anchor: network.name,
    ...{ step, gradient, stability: stability ? gradientsOf(stability) * gradient : 0 },
    tested: quality.steps * step + images * multiplyAdds,
    rest: (steps - quality.steps) * step + dataset.validation * multiplyAdds,
  };
}

const sum = (values: readonly number[]): number => values.reduce((a, b) => a + b, 0);

/** The multiply-adds of an evaluation, which takes the funnel of `evaluateLayer` up to where it ended. */
function multiplyAddsOf(ending: Ending, work: readonly AnchorWork[], protocol: Protocol): number {
  const { steps, quality } = protocol;
  const tests = (anchors: number) => sum(work.slice(0, anchors).map(({ tested }) => tested));
  const stabilities = (anchors: number) =>
    sum(work.slice(0, anchors).map(({ stability }) => stability));
  const rests = (anchors: number) => sum(work.slice(0, anchors).map(({ rest }) => rest));
  const all = work.length;
  const passed = tests(all) + stabilities(all);
  if (ending.outcome === 'evaluated') return passed + rests(all);
  if (!('anchor' in ending)) return 0;
  const at = work.findIndex(({ anchor }) => anchor === ending.anchor);
  const { step, gradient, stability, rest } = work[at]!;
  switch (ending.outcome) {
    case 'low-quality':
      return tests(at + 1);
    case 'unstable':
      // Each step takes three gradients, the one that ends it as well; only the last one of all takes one.
      return (
        tests(all) + stabilities(at) + Math.min(stability, 3 * (ending.ascentStep + 1) * gradient)
      );
    case 'timeout':
      return ending.step < quality.steps
        ? tests(at) + ending.step * step
        : passed + rests(at) + (ending.step - quality.steps) * step;
    case 'diverged': {
      // The step that gave no finite loss was taken as well.
      const taken = ending.step + 1;
      if (ending.step < quality.steps) return tests(at) + taken * step;
      // At the test itself; or in the step behind it, which is not told apart and is rarer.
      if (quality.steps > 0 && ending.step === quality.steps) return tests(at + 1);
      const more = ending.step < steps ? (taken - quality.steps) * step : rest;
      return passed + rests(at) + more;
    }
  }
}

/**
 * The work of evaluations under a protocol, in *full evaluations* of the protocol `unit`: 1 is the training
 * of one candidate to the end on every anchor, with its tests and validations. It counts the multiply-adds of the
 * networks, so it is the same on every machine; what the candidate layers themselves cost is left out, and
 * a crash, of which nobody knows how far it came, counts as nothing.
 */
export function workMeter(protocol: Protocol, unit = protocol): (ending: Ending) => number {
  const work = workOf(protocol);
  const full = sum(workOf(unit).map(({ tested, rest }) => tested + rest));
  return (ending) => multiplyAddsOf(ending, work, protocol) / full;
}

function workOf(protocol: Protocol): AnchorWork[] {
  const whole = protocolNetworks(protocol);
  return trainingNetworks(protocol).map((network, i) => anchorWork(network, whole[i]!, protocol));
}
