import { createRequire } from 'node:module';
import { UserError } from '../../errors.ts';
import { packageRoot } from '../package-root.ts';

/** Kernel variants by name: AVX-512 (16 lanes), AVX2 with FMA (8 lanes), and what every CPU of the kind runs (4 lanes). */
export type Variant = 'avx512' | 'avx2' | 'base';

/** A program that a machine has checked and decoded. */
export type Handle = number & { readonly program: unique symbol };

/** What native/addon.cc exports. */
interface Addon {
  variants(): { readonly name: Variant; readonly lanes: number }[];
  create(variant: number, floats: number, images: number): [object, ArrayBuffer];
  prepare(machine: object, program: Int32Array): Handle;
  run(
    machine: object,
    program: Handle,
    images: number,
    share: number,
    shares: number,
    before: number,
    total: number,
  ): void;
  close(machine: object, arena: ArrayBuffer): void;
  exercise(variant: number, iterations: number): number;
}

/** Says how large the network was. Another time, or with less beside it, there may be enough. */
export class NotEnoughMemory extends UserError {}

/** The addon cannot be loaded: it was not built, or not for this machine. */
export class NoAddon extends UserError {
  /** In one line. */
  readonly reason: string;

  constructor(reason: string, cause: unknown) {
    super(
      `The native engine cannot be loaded (${reason}); build it with \`npm run build\`, which needs make and a C++ compiler.`,
      1,
      { cause },
    );
    this.reason = reason;
  }
}

/** What the addon says where the system gives no memory. */
const REFUSED = 'not enough memory';

/** Forces a variant, for tests and for runs that move to another machine. */
const VARIABLE = 'EVOLAYER_NATIVE_VARIANT';

let loaded: Addon | undefined;

function addon(): Addon {
  if (loaded) return loaded;
  const require = createRequire(import.meta.url);
  try {
    const load = require('node-gyp-build') as (root: string) => Addon;
    loaded = load(packageRoot());
  } catch (error) {
    const reason = (error instanceof Error ? error.message : String(error)).split('\n')[0]!;
    throw new NoAddon(reason, error);
  }
  return loaded;
}

/** The variants that this CPU runs, best first. Throws NoAddon where the addon cannot be loaded. */
export const variants = (): Variant[] =>
  addon()
    .variants()
    .map(({ name }) => name);

/** The variant asked for, by argument or environment, or the best. Throws a UserError where this CPU has no such variant. */
export function chooseVariant(wanted: string | undefined = process.env[VARIABLE]): Variant {
  const available = variants();
  if (!wanted) return available[0]!;
  const variant = available.find((name) => name === wanted);
  if (variant) return variant;
  throw new UserError(
    `This CPU runs no kernel variant ${JSON.stringify(wanted)}; it runs ${available.join(', ')}.`,
  );
}

const positionOf = (variant: Variant): number => variants().indexOf(variant);

/** Floats per vector of a variant. */
export const lanesOf = (variant: Variant): number => addon().variants()[positionOf(variant)]!.lanes;

/** Does multiply-adds in registers for a while and returns how many, so that a caller can time the core's peak. */
export const exercise = (variant: Variant, iterations: number): number =>
  addon().exercise(positionOf(variant), iterations);

/** A C++ machine: an arena of floats, zeroed, and programs that run on it. Belongs to one thread. */
export class Machine {
  /** Starts on a cache line. */
  readonly arena: ArrayBuffer;
  #machine: object | undefined;

  /** `images`: the most that any run will have. Throws NotEnoughMemory, or a UserError where memory cannot be had this way. */
  constructor(variant: Variant, floats: number, images: number) {
    try {
      [this.#machine, this.arena] = addon().create(positionOf(variant), floats, images);
    } catch (error) {
      throw cannotSetUp(floats, error as Error);
    }
  }

  /** Checks and decodes a program. Throws an internal error where it would leave the arena or is malformed, or NotEnoughMemory. */
  prepare(program: Int32Array): Handle {
    try {
      return addon().prepare(this.#open(), program);
    } catch (error) {
      if ((error as Error).message !== REFUSED) throw error;
      throw cannotSetUp(this.arena.byteLength / 4, error as Error);
    }
  }

  /**
   * Runs a program; or, where it is a single instruction, one of several shares of its work. Shares, taken in
   * order, give the same bits however many they are. `total`: the images of the batch, of which earlier runs have
   * had `before`; then sums over the batch are added to what those left.
   */
  run(
    program: Handle,
    images: number,
    share = 0,
    shares = 1,
    before = 0,
    total = before + images,
  ): void {
    addon().run(this.#open(), program, images, share, shares, before, total);
  }

  /** Frees the memory; views of `arena` are empty afterwards. Closing twice does no harm. */
  close(): void {
    if (this.#machine) addon().close(this.#machine, this.arena);
    this.#machine = undefined;
  }

  #open(): object {
    if (!this.#machine) throw new Error('internal: a machine is used after it was closed');
    return this.#machine;
  }
}

/** The sentence for a network that cannot be set up. */
function cannotSetUp(floats: number, cause: Error): UserError {
  const megabytes = Math.ceil((floats * 4) / 2 ** 20);
  const text = `A network of ${megabytes} MB cannot be set up: ${cause.message}.`;
  return cause.message === REFUSED
    ? new NotEnoughMemory(text, 1, { cause })
    : new UserError(text, 1, { cause });
}
