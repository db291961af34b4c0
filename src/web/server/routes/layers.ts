import type * as z from 'zod';
import type { Store } from '../../../../db/store.ts';
import { RESPONSE_INPUTS, responsesOf } from '../../../eval/response.ts';
import { defaultClassName } from '../../../export/class-name.ts';
import { latex } from '../../../export/latex.ts';
import { svg } from '../../../export/svg.ts';
import { contentOf, fileNameOf } from '../../../export/write.ts';
import { printable } from '../../../format.ts';
import { graphDifference } from '../../../graph/outline.ts';
import { ZOO } from '../../../graph/zoo.ts';
import { compareIn } from '../../../reading/comparison.ts';
import { curvesOf, curvesUnder } from '../../../reading/curves.ts';
import { dateFrom } from '../../../reading/dates.ts';
import { dossierOf } from '../../../reading/dossier.ts';
import { exportedOf, picturedOf } from '../../../reading/exported.ts';
import { namedLayer } from '../../../reading/layers.ts';
import { leaderboardWindow } from '../../../reading/leaderboard.ts';
import * as answers from '../answers/layers.ts';
import type { Api } from '../app.ts';
import type { ShownDatabase } from '../database.ts';
import * as questions from '../questions.ts';

/** What is asked of layers. */
export function layerRoutes(app: Api, database: ShownDatabase): void {
  const named = (text: string) => database.ask((store) => namedLayer(store, text));

  app.get(
    '/api/leaderboard',
    {
      schema: {
        summary: 'Lines of what `evolayer leaderboard --json` prints',
        querystring: questions.leaderboard,
        response: { 200: answers.leaderboard },
      },
    },
    ({ query: { from, count, pareto, batchIndependent, since, ...choice } }) => {
      const asked = {
        ...choice,
        ...(pareto && { pareto }),
        ...(batchIndependent && { batchIndependent }),
        ...(since !== undefined && { since: dateFrom('since')(since) }),
      };
      const found = database.ask((store) => leaderboardWindow(store, asked, { from, count }));
      return { ...found, anchors: found.anchors.map(printable), from };
    },
  );

  app.get(
    '/api/choices',
    {
      schema: {
        summary: 'What filters can name: protocols, runs, known layers',
        response: { 200: answers.choices },
      },
    },
    () =>
      database.ask((store) => ({
        protocols: protocolsOf(store),
        runs: store.protocols.runs(),
        zoo: ZOO.map(({ name }) => name),
      })),
  );

  app.get(
    '/api/layer',
    {
      schema: {
        summary:
          'What `evolayer show --json` prints, the formula in LaTeX, and training curves by protocol',
        querystring: questions.layer,
        response: { 200: answers.describedLayer },
      },
    },
    ({ query }) =>
      database.ask((store) => {
        const layer = namedLayer(store, query.layer);
        const dossier = dossierOf(layer, store);
        const curves = curvesOf(dossier.functionalKey, store);
        return { dossier, latex: latex(picturedOf(layer)), curves };
      }),
  );

  app.get(
    '/api/layer/responses',
    {
      schema: {
        summary: 'What the untrained layer makes of one element, by the statistics of its input',
        querystring: questions.layer,
        response: { 200: answers.responses },
      },
    },
    ({ query }) => ({
      inputs: RESPONSE_INPUTS,
      responses: responsesOf(named(query.layer).layer),
    }),
  );

  app.get(
    '/api/layer/graph.svg',
    {
      schema: { summary: 'The graph of a layer, drawn (SVG)', querystring: questions.graph },
    },
    async ({ query }, reply) => {
      const layer = named(query.layer);
      const marked = query.unlike === undefined ? [] : nodesUnlike(layer, named(query.unlike));
      const style = { className: 'Layer', layout: 'nchw' } as const;
      const picture = await svg(picturedOf(layer), style, new Set(marked));
      reply.type('image/svg+xml; charset=utf-8');
      return reply.send(picture);
    },
  );

  app.get(
    '/api/layer/export',
    {
      schema: {
        summary: 'What `evolayer export --to` writes',
        querystring: questions.exported,
        response: { 200: answers.exportedText },
      },
    },
    async ({ query }) => {
      const { file, content } = await written(database, query);
      return { file, content: typeof content === 'string' ? content : null };
    },
  );

  app.get(
    '/api/layer/file',
    { schema: { summary: 'The same as a file', querystring: questions.exported } },
    async ({ query }, reply) => {
      const { file, content } = await written(database, query);
      reply
        .header('content-disposition', `attachment; filename="${file}"`)
        .type('application/octet-stream');
      return reply.send(typeof content === 'string' ? content : Buffer.from(content));
    },
  );

  app.get(
    '/api/compare',
    {
      schema: {
        summary:
          'What `evolayer compare --json` prints, the formulas in LaTeX, and training curves',
        querystring: questions.comparison,
        response: {
          200: answers.comparison,
        },
      },
    },
    ({ query: { layer, protocol } }) =>
      database.ask((store) => {
        const layers = layer.map((text) => namedLayer(store, text));
        const comparison = compareIn(store, layers, protocol);
        const { protocol: key, layers: compared } = comparison;
        return {
          comparison,
          curves: key === null ? [] : curvesUnder(key, compared, store),
          latex: layers.map((one) => latex(picturedOf(one))),
        };
      }),
  );
}

const protocolsOf = (store: Store) =>
  store.protocols
    .all()
    .filter(({ scored }) => scored > 0)
    .map(({ key, scored }) => ({ key: printable(key), scored }));

type Named = ReturnType<typeof namedLayer>;

const nodesUnlike = (layer: Named, other: Named): readonly number[] =>
  graphDifference(layer.layer, other.layer).onlyFirst;

/** A file name is made of letters and digits: of the zoo's name, or of the functional key. */
function written(
  database: ShownDatabase,
  { layer, to, layout }: z.output<typeof questions.exported>,
) {
  const exported = database.ask((store) => exportedOf(store, namedLayer(store, layer)));
  const className = defaultClassName(exported);
  return Promise.resolve(contentOf(to, exported, { className, ...(layout && { layout }) })).then(
    (content) => ({
      ...{ file: fileNameOf(to, className), content },
    }),
  );
}
