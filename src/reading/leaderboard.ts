import type {
  LeaderboardQuery,
  LeaderboardRow,
  LeaderboardWindow,
  SortKey,
} from '../../db/leaderboard.ts';
import type { Store } from '../../db/store.ts';
import { UserError } from '../errors.ts';
import { didYouMean } from '../suggest.ts';
import { type Entry, entryOf } from './entries.ts';
import { protocolFor } from './protocols.ts';

/** Besides these, an anchor can be sorted by. */
export const SORT_KEYS = ['fitness', 'evaluations', 'nodes', 'age'] as const;

/** Which layers of a leaderboard, and in which order: what the flags of the command say. */
export interface LeaderboardChoice {
  readonly top: number;
  readonly run?: number;
  readonly protocol?: string;
  readonly anchor?: readonly string[];
  readonly sort?: string;
  readonly pareto?: true;
  readonly batchIndependent?: true;
  readonly minEvaluations?: number;
  /** ISO 8601. */
  readonly since?: string;
}

/** The best `top` layers, and below them the known ones that are not among these. */
export function leaderboardIn(store: Store, choice: LeaderboardChoice) {
  const asking = questionOf(store, choice);
  if (asking === null) return { entries: [], asked: 0, protocol: null };
  const { protocol, query, entry } = asking;
  const rows = store.leaderboard.top(query);
  return { entries: rows.map(entry), asked: rows[0]?.of ?? 0, protocol };
}

/** Some lines of the same, and how many it has. */
export function leaderboardWindow(
  store: Store,
  choice: LeaderboardChoice,
  window: LeaderboardWindow,
) {
  const asking = questionOf(store, choice);
  if (asking === null) return { entries: [], lines: 0, asked: 0, protocol: null, anchors: [] };
  const { protocol, anchors, query, entry } = asking;
  const { rows, lines, of } = store.leaderboard.window(query, window);
  return { entries: rows.map(entry), lines, asked: of, protocol, anchors };
}

/** What the database is asked, and how its answers become entries; null where nothing was scored. */
function questionOf(store: Store, choice: LeaderboardChoice) {
  const protocol = protocolFor(store, choice);
  const anchors = protocol === null ? [] : store.leaderboard.anchors(protocol);
  if (protocol === null || anchors.length === 0) return null;
  const query = queryOf(choice, protocol, anchors);
  const confirmed = store.trials.confirmedUnder(protocol);
  const entry = (row: LeaderboardRow): Entry =>
    entryOf(row, protocol, anchors, confirmed, query.anchors);
  return { protocol, anchors, query, entry };
}

function queryOf(
  choice: LeaderboardChoice,
  protocolKey: string,
  anchors: readonly string[],
): LeaderboardQuery {
  const { top, run, pareto, batchIndependent, minEvaluations, since, sort = 'fitness' } = choice;
  const named = choice.anchor?.flatMap((text) => text.split(',')).filter((name) => name !== '');
  const places = named && [...new Set(named.map((name) => placeOf(name, anchors)))];
  return {
    ...{ protocolKey, top, sort: sortKeyOf(sort, anchors) },
    ...(places && places.length > 0 && { anchors: places }),
    ...(run !== undefined && { run }),
    ...(pareto && { pareto }),
    ...(batchIndependent && { batchIndependent }),
    ...(minEvaluations !== undefined && { minEvaluations }),
    ...(since !== undefined && { since }),
  };
}

function placeOf(name: string, anchors: readonly string[]): number {
  const place = anchors.indexOf(name);
  if (place >= 0) return place;
  throw new UserError(
    `The protocol has no anchor ${JSON.stringify(name)}; it has ${anchors.join(', ')}.${didYouMean(name, anchors)}`,
  );
}

function sortKeyOf(text: string, anchors: readonly string[]): SortKey {
  const key = SORT_KEYS.find((known) => known === text);
  if (key) return key;
  const anchor = anchors.indexOf(text);
  if (anchor >= 0) return { anchor };
  const known = [...SORT_KEYS, ...anchors];
  throw new UserError(
    `--sort is ${JSON.stringify(text)}; it must be one of ${known.join(', ')}.${didYouMean(text, known)}`,
  );
}
