import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import fastifyStatic from '@fastify/static';
import fastifySwagger from '@fastify/swagger';
import fastify, { type FastifyError, type FastifyInstance, type FastifyReply } from 'fastify';
import {
  hasZodFastifySchemaValidationErrors,
  jsonSchemaTransform,
  validatorCompiler,
  type ZodTypeProvider,
} from 'fastify-type-provider-zod';
import { UserError } from '../../errors.ts';
import { packageRoot, packageVersion } from '../../eval/package-root.ts';
import { ShownDatabase } from './database.ts';
import { type GuardOptions, guard } from './guard.ts';
import { Live } from './live.ts';
import { layerRoutes } from './routes/layers.ts';
import { runRoutes } from './routes/runs.ts';

/** The built page, below the package's folder. */
const PAGE = 'dist/web';

/** Addresses of the page; each shows a view of its own. */
const VIEWS = ['/', '/runs/:run', '/runs/:run/rejections', '/leaderboard', '/layer', '/compare'];

export interface AppOptions extends GuardOptions {
  readonly db: string;
  /** Told what went wrong inside, which the asker is not. */
  readonly onError?: (error: Error) => void;
}

/** An app that answers in the way of the type provider. */
export type Api = FastifyInstance<
  import('node:http').Server,
  import('node:http').IncomingMessage,
  import('node:http').ServerResponse,
  import('fastify').FastifyBaseLogger,
  ZodTypeProvider
>;

/** The dashboard over a database, which is not yet listening. Throws a UserError where the database cannot be read. */
export async function dashboardApp(options: AppOptions): Promise<FastifyInstance> {
  const database = new ShownDatabase(options.db);
  const app = fastify({
    logger: false,
    forceCloseConnections: true,
    requestTimeout: 10_000,
    keepAliveTimeout: 10_000,
    bodyLimit: 1024,
    exposeHeadRoutes: true,
    routerOptions: { maxParamLength: 100 },
  });
  app.setValidatorCompiler(validatorCompiler);
  // Types say what answers are; to check them once more would take longer than to make them.
  app.setSerializerCompiler(() => (answer) => JSON.stringify(answer));
  guard(app, options);
  explainErrors(app, options.onError ?? (() => {}));
  await app.register(fastifySwagger, {
    openapi: {
      info: {
        title: 'evolayer dashboard',
        description: 'What a database of evolayer holds. Nothing can be written.',
        version: packageVersion(),
      },
    },
    transform: jsonSchemaTransform,
  });
  const live = new Live(database);
  await app.register(async (api) => {
    api.addHook('onSend', async (_request, reply) => {
      if (!reply.hasHeader('cache-control')) reply.header('cache-control', 'no-store');
    });
    runRoutes(api as unknown as Api, database);
    layerRoutes(api as unknown as Api, database);
    liveRoute(api, live);
    api.get('/api/openapi.json', { schema: { hide: true } }, () => app.swagger());
  });
  await servePage(app);
  app.addHook('onClose', async () => {
    live.close();
    database.close();
  });
  app.addHook('preClose', async () => live.close());
  return app;
}

function liveRoute(app: FastifyInstance, live: Live): void {
  app.get('/api/live', { schema: { hide: true } }, (_request, reply) => {
    if (reply.request.method === 'HEAD') return reply.send();
    reply.hijack();
    if (live.add(reply.raw)) return;
    reply.raw.writeHead(503, { 'retry-after': '10' }).end();
  });
}

/** Users' mistakes as they are; what is our fault without what is inside. */
function explainErrors(app: FastifyInstance, onError: (error: Error) => void): void {
  app.setErrorHandler((error: FastifyError, _request, reply) => {
    if (error instanceof UserError)
      return answer(reply, error.exitCode === 2 ? 400 : 503, error.message);
    if (hasZodFastifySchemaValidationErrors(error))
      return answer(reply, 400, describeFaults(error.validation));
    const status = error.statusCode ?? 500;
    if (status < 500) return answer(reply, status, error.message);
    onError(error);
    return answer(
      reply,
      500,
      'Something went wrong inside of evolayer; the terminal of the dashboard says what.',
    );
  });
  app.setNotFoundHandler((_request, reply) =>
    answer(reply, 404, 'There is nothing at this address; / shows the runs.'),
  );
}

const answer = (reply: FastifyReply, statusCode: number, message: string) =>
  reply
    .code(statusCode)
    .header('content-type', 'application/json; charset=utf-8')
    .send(JSON.stringify({ statusCode, message }));

const describeFaults = (
  faults: readonly { readonly instancePath: string; readonly message?: string | undefined }[],
): string =>
  faults
    .map(({ instancePath, message }) =>
      `${instancePath.slice(1).replaceAll('/', '.')} is refused: ${message}`.trim(),
    )
    .join('; ');

async function servePage(app: FastifyInstance): Promise<void> {
  const root = join(packageRoot(), PAGE);
  if (!existsSync(join(root, 'index.html')))
    throw new UserError(
      `The page of the dashboard is not built: ${root} is missing; run: npm run build`,
      1,
    );
  const page = readFileSync(join(root, 'index.html'));
  for (const view of VIEWS)
    app.get(view, { schema: { hide: true } }, (_request, reply) =>
      reply.type('text/html; charset=utf-8').header('cache-control', 'no-cache').send(page),
    );
  await app.register(fastifyStatic, {
    root: join(root, 'assets'),
    prefix: '/assets/',
    // Names change with what is in the files.
    immutable: true,
    maxAge: '365d',
    index: false,
    dotfiles: 'deny',
  });
}
