import { chmod, rm } from 'node:fs/promises';
import type { Server } from 'node:http';
import { Readable } from 'node:stream';
import type { ReadableStream } from 'node:stream/web';
import { createAdaptorServer } from '@hono/node-server';
import { type Context, Hono } from 'hono';
import type { StoredImage } from '../../runtime/image/image.ts';
import type { Store } from '../../runtime/image/store.ts';
import {
  buildQuerySchema,
  type ImageSummary,
  importQuerySchema,
  pullRequestSchema,
  pushFunctionRequestSchema,
  pushRequestSchema,
  referenceQuerySchema,
  removeQuerySchema,
  tagRequestSchema,
} from '../../sdk/contract/image.ts';
import { languageNameSchema } from '../../sdk/contract/language.ts';
import type { SandboxRecord } from '../../sdk/contract/node.ts';
import { tenantNameSchema } from '../../sdk/contract/tenant.ts';
import type { GatewayEnv } from '../gateway/deps.ts';
import { onError } from '../gateway/middleware/on-error.ts';
import type { Logger } from '../shared/logger.ts';
import { eventReply, type Task } from './event-reply.ts';
import type { LanguageImages } from './language-images.ts';
import { platformErrorOf } from './store-errors.ts';

export interface NodeApiDeps {
  store: Store;
  /** What the node's containers are now. */
  sandboxes: () => Promise<Pick<SandboxRecord, 'writableBytes'>[]>;
  /** Builds an image from a context, a tar that may be gzipped. */
  build: (context: Readable, query: BuildQuery, task: Task) => Promise<StoredImage>;
  /** Makes a function's version an image in the store and returns it. */
  assemble: (name: string, version: number | undefined, tenant: string) => Promise<StoredImage>;
  languages: Pick<LanguageImages, 'install' | 'remove'>;
  /** Resolves when gateways know of the store's last change: what a reply names can be run at once. */
  announced: () => Promise<void>;
  /** The node's figures, in Prometheus's text format. */
  metrics: () => Promise<string>;
  logger: Logger;
}
type BuildQuery = ReturnType<typeof buildQuerySchema.parse>;

/** The node's own HTTP API, which the gateway on its machine forwards to: paths and bodies are the public ones. */
export function createNodeApi(deps: NodeApiDeps): Hono<GatewayEnv> {
  const { store, sandboxes, build, assemble, languages, announced, metrics, logger } = deps;
  const summaryOf = async ({ digest, reference }: StoredImage): Promise<ImageSummary> => {
    const found = (await store.summaries()).filter((summary) => summary.digest === digest);
    const summary = found.find((one) => one.reference === reference) ?? found[0];
    if (!summary) throw new Error(`image ${digest} went while it was being made`);
    return summary;
  };
  const reply = (c: Context<GatewayEnv>, run: (task: Task) => Promise<StoredImage>) =>
    eventReply(c, 'image', async (task) => {
      const image = await run(task);
      await announced();
      return summaryOf(image);
    });

  return new Hono<GatewayEnv>()
    .use(async (c, next) => {
      c.set('logger', logger);
      await next();
    })
    .get('/metrics', async (c) => c.text(await metrics()))
    .get('/v1/images', async (c) => c.json({ images: await store.summaries() }))
    .post('/v1/images', async (c) => {
      const request = pullRequestSchema.parse(await c.req.json());
      return reply(c, (task) => store.pull(request, task));
    })
    .delete('/v1/images', async (c) => {
      const { reference, force } = removeQuerySchema.parse(c.req.query());
      const removal = await store.remove(reference, { force });
      await announced();
      return c.json(removal);
    })
    .get('/v1/images/inspect', async (c) => c.json(await store.inspect(referenceOf(c))))
    .get('/v1/images/history', async (c) => c.json({ history: await store.history(referenceOf(c)) }))
    .get('/v1/images/df', async (c) => {
      const [usage, running] = await Promise.all([store.diskUsage(), sandboxes()]);
      const bytes = running.reduce((sum, { writableBytes }) => sum + writableBytes, 0);
      return c.json({ ...usage, sandboxes: { count: running.length, bytes, reclaimableBytes: 0 } });
    })
    .post('/v1/images/prune', async (c) => {
      const pruned = await store.prune();
      await announced();
      return c.json(pruned);
    })
    .post('/v1/images/tag', async (c) => {
      const { source, target } = tagRequestSchema.parse(await c.req.json());
      const tagged = await store.tag(source, target);
      await announced();
      return c.json(await summaryOf(tagged), 201);
    })
    .post('/v1/images/push', async (c) => {
      const request = pushRequestSchema.parse(await c.req.json());
      return reply(c, (task) => store.push(request, task));
    })
    .post('/v1/images/import', async (c) => {
      const query = importQuerySchema.parse(c.req.query());
      return reply(c, (task) => store.importArchive(bodyOf(c), query, task));
    })
    .post('/v1/images/build', async (c) => {
      const query = buildQuerySchema.parse(c.req.query());
      return reply(c, (task) => build(bodyOf(c), query, task));
    })
    .post('/v1/languages/:name', (c) =>
      eventReply(c, 'language', async (task) => {
        const language = await languages.install(languageNameSchema.parse(c.req.param('name')), task);
        await announced();
        return language;
      }),
    )
    .delete('/v1/languages/:name', async (c) => {
      await languages.remove(languageNameSchema.parse(c.req.param('name')));
      await announced();
      return c.body(null, 204);
    })
    .post('/v1/functions/:name/push', async (c) => {
      const { version, ...request } = pushFunctionRequestSchema.parse(await c.req.json());
      return reply(c, async (task) => {
        const tenant = tenantNameSchema.parse(c.req.header('oncebox-tenant'));
        const { digest } = await assemble(c.req.param('name'), version, tenant);
        return store.push({ ...request, source: digest }, task);
      });
    })
    .onError((error, c) => onError(platformErrorOf(error), c));
}

/** Serves the API on a Unix socket that only the services' user and group can open: the gateway is of the group. */
export async function serveNodeApi(app: Hono<GatewayEnv>, path: string): Promise<() => Promise<void>> {
  // Left by a worker that was killed.
  await rm(path, { force: true });
  const server = createAdaptorServer({ fetch: app.fetch }) as Server;
  // An upload takes as long as it takes; the gateway watches who sends it.
  server.requestTimeout = 0;
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(path, resolve);
  });
  await chmod(path, 0o660);
  return () =>
    new Promise((resolve) => {
      server.close(() => resolve());
      // Whoever waits for a pull is told by the closed connection, and the pull is aborted with it.
      server.closeAllConnections();
    });
}

function referenceOf(c: Context<GatewayEnv>): string {
  return referenceQuerySchema.parse(c.req.query()).reference;
}

/** The request's body as it comes in: an archive is never held in memory. */
function bodyOf(c: Context<GatewayEnv>): Readable {
  const { body } = c.req.raw;
  return body === null ? Readable.from([]) : Readable.fromWeb(body as ReadableStream);
}
