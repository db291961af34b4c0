/** Floats per cache line; every block starts on one. */
const LINE = 16;

export const align = (floats: number): number => Math.ceil(floats / LINE) * LINE;

/** When a buffer is first written and last read, in any consistent count of time. */
export interface Lifetime {
  readonly from: number;
  readonly to: number;
}

/**
 * A request for memory. Buffers with a `layout` share memory only with those of the same, whose bytes mean the
 * same places (a halo is zeroed once, and must stay); those without share with any of their kind.
 */
export interface BufferRequest extends Lifetime {
  readonly floats: number;
  readonly layout?: string;
}

interface Placed extends Lifetime {
  readonly offset: number;
  readonly end: number;
}

/** Hands out offsets (in floats) of one arena. */
export class Arena {
  /** Floats handed out so far. */
  size = 0;

  allocate(floats: number): number {
    const offset = this.size;
    this.size += align(floats);
    return offset;
  }

  /** Places all buffers, letting those whose lifetimes do not overlap share memory. Returns their offsets. */
  place(requests: readonly BufferRequest[]): number[] {
    const offsets: number[] = new Array(requests.length);
    const blocks: { offset: number; floats: number; layout: string; busyUntil: number }[] = [];
    const order = requests.map((_, i) => i).sort((a, b) => requests[a]!.from - requests[b]!.from);
    for (const i of order) {
      const { floats, layout, from, to } = requests[i]!;
      if (layout === undefined) continue;
      let block = blocks.find(
        (block) => block.layout === layout && block.busyUntil < from && block.floats >= floats,
      );
      if (!block) {
        block = { offset: this.allocate(floats), floats, layout, busyUntil: to };
        blocks.push(block);
      }
      block.busyUntil = to;
      offsets[i] = block.offset;
    }
    this.#pack(requests, offsets);
    return offsets;
  }

  /** The largest buffer first, each at the lowest place that is free all its life: little is wasted, and what is small fits into the caches. */
  #pack(requests: readonly BufferRequest[], offsets: number[]): void {
    const base = this.size;
    const free = requests.flatMap(({ layout }, i) => (layout === undefined ? [i] : []));
    free.sort((a, b) => requests[b]!.floats - requests[a]!.floats || a - b);
    /** By offset. */
    const placed: Placed[] = [];
    for (const i of free) {
      const { from, to } = requests[i]!;
      const floats = align(requests[i]!.floats);
      const offset = lowestGap(placed, base, floats, { from, to });
      const before = placed.findIndex((other) => other.offset > offset);
      const buffer = { offset, end: offset + floats, from, to };
      placed.splice(before < 0 ? placed.length : before, 0, buffer);
      offsets[i] = offset;
      this.size = Math.max(this.size, offset + floats);
    }
  }
}

/** The lowest offset from `base` on where `floats` floats meet none of `taken` (by offset) in all their life. */
function lowestGap(
  taken: readonly Placed[],
  base: number,
  floats: number,
  { from, to }: Lifetime,
): number {
  let offset = base;
  for (const other of taken) {
    if (other.offset >= offset + floats) break;
    if (other.from <= to && from <= other.to) offset = Math.max(offset, other.end);
  }
  return offset;
}
