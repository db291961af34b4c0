import { address } from './ask.ts';

/* The addresses of views. */

export const runLink = (run: number): string => `/runs/${run}`;
export const rejectionsLink = (run: number): string => `/runs/${run}/rejections`;
export const layerLink = (layer: string): string => address('/layer', { layer });
export const compareLink = (layers: readonly string[]): string =>
  address('/compare', { layer: layers });
export const leaderboardLink = (run?: number): string => address('/leaderboard', { run });

/** The run of a layer's id; null for what is no id. */
export const runOf = (id: string): number | null => {
  const match = /^r(\d+)-\d+$/.exec(id);
  return match ? Number(match[1]) : null;
};
