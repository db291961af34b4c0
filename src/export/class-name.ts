import { UserError } from '../errors.ts';
import type { Exported } from './exported.ts';

/**
 * What no exported class may be called, for every target takes the same name: keywords of Python, JavaScript
 * and TypeScript, and what the written files define, import or read themselves and would then no longer find.
 */
export const TAKEN: ReadonlySet<string> = new Set(
  `False None True and as assert async await break class continue def del elif else except finally
  for from global if import in is lambda match nonlocal not or pass raise return try type while with yield
  arguments case catch const debugger default delete do enum eval export extends false function get
  implements instanceof interface let new null of package private protected public set static super switch
  this throw true typeof undefined var void constructor
  any bigint declare never number object string symbol unknown boolean
  Any Array Callable Layer Module Param SystemExit Tensor ValueError bool collections dict dtype evolayer flax
  float getattr int isinstance jax jnp keras len list max min next nn nnx np numpy ops print property range
  register_keras_serializable sorted str tensorflow tf torch tuple typing zip
  Error Float32Array Function Infinity Map Math NaN Number Object Promise String Symbol console globalThis process
  GOLDEN Gradients LayerOptions Moment Options Save Weight absolute check differentiated golden guard isProgram maximum mean
  meanSquare perChannel reduced selfTest signedLog signedSqrt variance`.split(/\s+/),
);

/** Throws a UserError where `name` cannot be the name of an exported class. */
export function checkClassName(name: string): string {
  if (!/^[A-Za-z][A-Za-z0-9_]{0,99}$/.test(name)) {
    const shown = JSON.stringify(name.length > 100 ? `${name.slice(0, 100)}…` : name);
    throw new UserError(
      `${shown} cannot be the name of a class; take letters, digits and _, at most 100, a letter first.`,
    );
  }
  if (TAKEN.has(name))
    throw new UserError(
      `${JSON.stringify(name)} cannot be the name of a class, for it is a keyword or something that exported code uses itself; take another, such as My${name[0]!.toUpperCase()}${name.slice(1)}.`,
    );
  return name;
}

/** A class name for a layer: of its zoo name where it has one, else of its id. */
export const defaultClassName = ({ zooName, id }: Pick<Exported, 'zooName' | 'id'>): string =>
  zooName ? zooName.replaceAll(/[^A-Za-z0-9]/g, '') : `Layer${id.slice(0, 8)}`;
