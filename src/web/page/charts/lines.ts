import type { Line } from './chart.tsx';

const COLOURS = ['blue', 'orange', 'green', 'purple'] as const;
const DASHES = [[], [8, 4], [2, 3], [10, 3, 2, 3]] as const;

/** Line `i` of a few that differ by their colours, and by their dashes for those who do not tell colours apart. */
export const distinctLine = (label: string, i: number): Line => ({
  ...{ label, colour: COLOURS[i] ?? 'ink', width: 2 },
  ...(DASHES[i]?.length && { dash: DASHES[i] }),
});
