/** Floats per cache line; every block starts on one. */
const LINE = 16;

export const align = (floats: number): number => Math.ceil(floats / LINE) * LINE;

/** When a buffer is first written and last read, in any consistent count of time. */
export interface Lifetime {
  readonly from: number;
  readonly to: number;
}

/** A request for memory. Buffers share a block only inside one `layout`: those whose bytes mean the same places, halos included. */
export interface BufferRequest extends Lifetime {
  readonly floats: number;
  readonly layout: string;
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
      const fitting = blocks.filter(
        (block) => block.layout === layout && block.busyUntil < from && block.floats >= floats,
      );
      let block = fitting.sort((a, b) => a.floats - b.floats)[0];
      if (!block) {
        block = { offset: this.allocate(floats), floats, layout, busyUntil: to };
        blocks.push(block);
      }
      block.busyUntil = to;
      offsets[i] = block.offset;
    }
    return offsets;
  }
}
