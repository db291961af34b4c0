import { join } from 'node:path';
import { expect, test } from 'vitest';
import { evolayer, temporaryFolder } from '../cli/process.ts';
import { contentOf, runKilled } from './killing.ts';

/** `npm run test:faults` asks for more. */
const KILLS = Number(process.env.EVOLAYER_KILLS ?? 12);
const PROPOSALS = Math.max(60, 8 * KILLS);
const BASELINES = ['BN-ReLU', 'EvoNorm-S0'];

const SEARCH = [
  ...['search', '--proposals', String(PROPOSALS), '--seed', '11', '--lookahead', '8'],
  ...['--baseline', BASELINES.join(','), '--warm-start', 'DyT', '--exploration', '0.4'],
  ...['--anchor', 'mini-wide', '--pool', '4', '--batch', '8', '--steps', '10', '--pad', '0'],
  ...['--validation', '200', '--quality-steps', '4', '--quality-images', '50'],
  ...['--min-accuracy', '0.12'],
  // What decides by more than the last results: means, forgetting, draws that are thrown away, audits.
  ...['--cache-evaluations', '2', '--forget', '0.2', '--audit', '0.6'],
  ...['--rejection-audit', '0.7'],
  ...['--functional-change', '3', '--tabu', '6'],
];

test(
  `a run that is killed ${KILLS} times and resumed is the run that was left alone`,
  async () => {
    const folder = temporaryFolder();
    const alone = join(folder, 'alone.db');
    expect(await evolayer([...SEARCH, '--workers', '3', '--db', alone])).toMatchObject({ code: 0 });
    const expected = contentOf(alone);
    const rows = PROPOSALS + BASELINES.length + 1;
    expect(expected.candidates).toHaveLength(rows);
    expect(expected.evaluations!.length).toBeGreaterThan(5);
    const kinds = new Set(expected.audits!.map((row) => JSON.parse(row).kind));
    expect(kinds).toEqual(new Set(['hit', 'rejection']));
    expect(expected.candidates!.filter((row) => JSON.parse(row).evaluations === 2)).not.toEqual([]);

    const plan = { folder, seed: 1, kills: KILLS, rows, search: SEARCH, workers: 2 };
    const report = await runKilled(plan);
    console.log(
      JSON.stringify({ ...report, db: undefined, trained: expected.evaluations!.length }),
    );
    expect(report.rows).toHaveLength(KILLS);
    for (const victim of ['coordinator', 'host', 'group'] as const)
      expect(report.kills[victim]).toBeGreaterThan(0);

    expect(contentOf(report.db)).toEqual(expected);
    const boards = [];
    for (const db of [alone, report.db])
      boards.push((await evolayer(['leaderboard', '--json', '--top', '100', '--db', db])).stdout);
    expect(boards[0]).toContain('EvoNorm-S0');
    expect(boards[1]).toBe(boards[0]);
  },
  60_000 + 10_000 * KILLS,
);
