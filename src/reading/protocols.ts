import type { Store } from '../../db/store.ts';
import { UserError } from '../errors.ts';
import { printable } from '../format.ts';
import { didYouMean } from '../suggest.ts';

export interface ProtocolChoice {
  readonly run?: number;
  /** A key, or how one begins. */
  readonly protocol?: string;
}

/** The key of the protocol that the user means: the named one, or the run's, or the youngest run's; null where there is none. */
export function protocolFor(store: Store, { run, protocol }: ProtocolChoice): string | null {
  const { protocols } = store;
  const ofRun = run === undefined ? null : protocols.ofRun(run);
  if (run !== undefined && ofRun === null) throw store.noRun(run);
  if (protocol === undefined) return ofRun ?? protocols.ofLastRun();
  const key = keyBeginningWith(protocol, store);
  if (ofRun !== null && ofRun !== key)
    throw new UserError(
      `Run ${run} was scored under protocol ${printable(ofRun)}, not ${printable(key)}; leave one of them out.`,
    );
  return key;
}

function keyBeginningWith(text: string, { protocols, path }: Store): string {
  const all = protocols.all();
  const matches = all.filter(({ key }) => key.startsWith(text));
  if (matches.length === 1) return matches[0]!.key;
  const listed = (matches.length > 0 ? matches : all)
    .map(({ key, scored }) => `${printable(key)} (${scored} layers scored)`)
    .join(', ');
  const name = JSON.stringify(text);
  if (matches.length > 1) throw new UserError(`${name} begins several protocols: ${listed}.`);
  const keys = all.map(({ key }) => printable(key));
  throw new UserError(
    `There is no protocol ${name} in ${path}; there ${listed === '' ? 'is none' : `are ${listed}`}.${didYouMean(text, keys)}`,
  );
}
