import { useState } from 'preact/hooks';
import { Link, useSearch } from 'wouter-preact';
import { estimate } from '../../../format.ts';
import type { Choices, Leaderboard } from '../../server/answers/layers.ts';
import { address, useAsk } from '../ask.ts';
import { Answer, Empty, Failure, Title } from '../components/states.tsx';
import { compareLink } from '../links.ts';
import { Filters, filtersOf } from './leaderboard-filters.tsx';
import { Lines } from './leaderboard-lines.tsx';

/** The filters stand in the address, as the server takes them; `hide` names the columns that are left out. */
export function LeaderboardView() {
  const search = useSearch();
  const filters = filtersOf(search);
  const { hide, ...query } = filters;
  const url = (from: number, count: number) =>
    address('/api/leaderboard', { ...query, from, count });
  const first = useAsk<Leaderboard>(url(0, 100));
  const choices = useAsk<Choices>('/api/choices');
  const [chosen, choose] = useState<readonly string[]>([]);
  return (
    <>
      <Title>Leaderboard</Title>
      {choices.data && (
        <Filters
          choices={choices.data}
          anchors={first.data?.anchors ?? []}
          protocol={first.data?.protocol ?? null}
          filters={filters}
        />
      )}
      {choices.error !== null && <Failure message={choices.error} />}
      <Chosen chosen={chosen} clear={() => choose([])} />
      <Answer asked={first} what="the leaderboard">
        {(board) =>
          board.lines === 0 ? (
            <Empty>
              <p>
                {board.protocol === null
                  ? 'No layer is scored yet; a search scores the known layers first.'
                  : 'No layer is like that; take a filter away.'}
              </p>
            </Empty>
          ) : (
            <>
              <p class="note" role="status">
                {describe(board)}
              </p>
              <Lines
                board={board}
                url={url}
                hidden={hide}
                chosen={chosen}
                choose={(id, on) =>
                  choose(on ? [...chosen, id].slice(-4) : chosen.filter((one) => one !== id))
                }
              />
            </>
          )
        }
      </Answer>
    </>
  );
}

function describe({ asked, lines, protocol, entries }: Leaderboard): string {
  const some = lines < asked ? `${lines} of ` : '';
  const best = entries[0];
  const mean = best ? `; the first has ${estimate(best.fitness.mean, best.fitness.interval)}` : '';
  return `${some}${asked} layers under protocol ${protocol}${mean}. ± is the 95 % confidence interval over n evaluations.`;
}

const Chosen = ({
  chosen,
  clear,
}: {
  readonly chosen: readonly string[];
  readonly clear: () => void;
}) =>
  chosen.length === 0 ? null : (
    <p class="links">
      {chosen.length > 1 ? (
        <Link href={compareLink(chosen)}>Compare {chosen.join(', ')}</Link>
      ) : (
        <span>{chosen[0]} and another one can be compared: choose it too.</span>
      )}
      <button type="button" onClick={clear}>
        Choose none
      </button>
    </p>
  );
