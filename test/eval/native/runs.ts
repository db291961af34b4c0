/** The share of their random cases that tests try: all, but fewer where each takes long, as under the sanitizers. */
const SHARE = Number(process.env.EVOLAYER_RUNS ?? 1);

/** How many random cases a test tries that usually tries `wanted`. */
export const runs = (wanted: number): number => Math.ceil(wanted * SHARE);
