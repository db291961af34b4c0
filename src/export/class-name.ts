import { UserError } from '../errors.ts';
import type { Exported } from './exported.ts';

/** Keywords of Python and JavaScript, and the names that exported modules define, import or read themselves. */
const TAKEN = new Set(
  `False None True and as assert async await break class continue def del elif else except finally
  for from global if import in is lambda nonlocal not or pass raise return try while with yield
  Any Array Callable SystemExit Tensor ValueError bool dict dtype float getattr int jax jnp keras len list
  max min next nn nnx np ops print property range str super tf torch tuple type zip
  arguments case catch const debugger default delete do enum eval export extends false function
  implements instanceof interface let new null package private protected public static switch this
  throw true typeof undefined var void
  Error Float32Array Map Math console globalThis process
  GOLDEN absolute check differentiated golden guard isProgram maximum mean meanSquare perChannel
  reduced selfTest signedLog signedSqrt variance`.split(/\s+/),
);

/** Throws a UserError where `name` cannot be the name of an exported class. */
export function checkClassName(name: string): string {
  if (/^[A-Za-z][A-Za-z0-9_]{0,99}$/.test(name) && !TAKEN.has(name)) return name;
  const shown = JSON.stringify(name.length > 100 ? `${name.slice(0, 100)}…` : name);
  throw new UserError(
    `${shown} cannot be the name of a class; take letters, digits and _, a letter first, and no keyword.`,
  );
}

/** A class name for a layer: of its zoo name where it has one, else of its id. */
export const defaultClassName = ({ zooName, id }: Pick<Exported, 'zooName' | 'id'>): string =>
  zooName ? zooName.replaceAll(/[^A-Za-z0-9]/g, '') : `Layer${id.slice(0, 8)}`;
