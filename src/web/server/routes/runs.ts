import type { Store } from '../../../../db/store.ts';
import { UserError } from '../../../errors.ts';
import { OUTCOME_NAMES } from '../../../eval/outcome.ts';
import { courseOf, fitnessOfRun, progressOf } from '../../../reading/course.ts';
import { eventsOf } from '../../../reading/events.ts';
import { rejectedLayers, rejectionReasons } from '../../../reading/examples.ts';
import { frontsOf } from '../../../reading/fronts.ts';
import { type RunState, runRowOf, runState, runStates } from '../../../reading/states.ts';
import { statsOf } from '../../../reading/stats.ts';
import * as answers from '../answers/runs.ts';
import type { Api } from '../app.ts';
import type { ShownDatabase } from '../database.ts';
import * as questions from '../questions.ts';

/** What is asked of runs. */
export function runRoutes(app: Api, database: ShownDatabase): void {
  const ofRun = <T>(id: number, ask: (store: Store, state: RunState) => T): T =>
    database.ask((store) => ask(store, stateOf(store, id)));

  app.get(
    '/api/runs',
    {
      schema: {
        summary: 'All runs, oldest first: what `evolayer runs --json` prints',
        response: {
          200: answers.runs,
        },
      },
    },
    () => ({ db: database.path, runs: database.ask(runStates).map(runRowOf) }),
  );

  app.get(
    '/api/runs/:run',
    {
      schema: {
        summary: 'A run, where it stands, and how it went in parts of equally many proposals',
        params: questions.run,
        response: { 200: answers.describedRun },
      },
    },
    ({ params }) =>
      ofRun(params.run, (store, state) => {
        const course = courseOf(store, state);
        const zoo = store.stats.baselines(params.run).map(({ index: _, ...known }) => known);
        return {
          ...{ row: runRowOf(state), course, zoo },
          progress: progressOf(state, course, Date.now()),
        };
      }),
  );

  app.get(
    '/api/runs/:run/fitness',
    {
      schema: {
        summary: 'The fitness of every proposal that has one',
        params: questions.run,
        querystring: questions.fitness,
        response: { 200: answers.fitnessColumns },
      },
    },
    ({ params, query }) =>
      ofRun(params.run, (store) => fitnessOfRun(store, params.run, query.after)),
  );

  app.get(
    '/api/runs/:run/stats',
    {
      schema: {
        summary: 'How a run went: what `evolayer stats --json` prints, and what happened to it',
        params: questions.run,
        response: { 200: answers.statsAndEvents },
      },
    },
    ({ params }) =>
      ofRun(params.run, (store, state) => {
        const stats = statsOf(store, state);
        return { stats, events: eventsOf(stats) };
      }),
  );

  app.get(
    '/api/runs/:run/fronts',
    {
      schema: {
        summary: 'The layers of a run by every pair of its anchors, and the front of each',
        params: questions.run,
        response: { 200: answers.fronts },
      },
    },
    ({ params }) => ofRun(params.run, (store) => frontsOf(store, params.run)),
  );

  app.get(
    '/api/runs/:run/rejections',
    {
      schema: {
        summary: 'Why proposals were rejected, with the youngest of each kind',
        params: questions.run,
        querystring: questions.reasons,
        response: {
          200: answers.reasons,
        },
      },
    },
    ({ params, query }) =>
      ofRun(params.run, (store, { run }) => ({
        proposals: run.proposals,
        reasons: rejectionReasons(store, params.run, query.examples),
      })),
  );

  app.get(
    '/api/runs/:run/rejected',
    {
      schema: {
        summary: 'Proposals that ended in one way, the youngest first',
        params: questions.run,
        querystring: questions.rejected,
        response: { 200: answers.rejectedLayers },
      },
    },
    ({ params, query }) =>
      ofRun(params.run, (store) => {
        const outcome = OUTCOME_NAMES.find((name) => name === query.outcome);
        if (!outcome || outcome === 'evaluated')
          throw new UserError(
            `outcome is ${JSON.stringify(query.outcome)}; it must be one of ${OUTCOME_NAMES.filter((name) => name !== 'evaluated').join(', ')}.`,
          );
        return rejectedLayers(store, params.run, outcome, query.before, query.count);
      }),
  );
}

function stateOf(store: Store, id: number): RunState {
  const state = runState(store, id);
  if (state) return state;
  throw store.noRun(id);
}
