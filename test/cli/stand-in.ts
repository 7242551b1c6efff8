import { createHash } from 'node:crypto';
import { once } from 'node:events';
import type { Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { createAdaptorServer } from '@hono/node-server';
import { type Context, Hono } from 'hono';
import { list } from 'tar';
import { afterAll, beforeAll, beforeEach } from 'vitest';
import { type ErrorCode, errorStatus } from '../../sdk/contract/error.ts';
import {
  buildQuerySchema,
  diskUsageSchema,
  type ImageEvent,
  type ImageSummary,
  importQuerySchema,
  pullRequestSchema,
  pushFunctionRequestSchema,
  pushRequestSchema,
  referenceQuerySchema,
  removeQuerySchema,
  tagRequestSchema,
} from '../../sdk/contract/image.ts';
import { type Invocation, invocationSchema } from '../../sdk/contract/invocation.ts';
import { type ParsedRunRequest, runRequestSchema } from '../../sdk/contract/run-request.ts';

export const digest = (letter: string) => `sha256:${letter.repeat(64)}`;

export const anImage: ImageSummary = {
  reference: 'localhost/app:latest',
  digest: digest('a'),
  created: '2020-01-01T00:00:00Z',
  sizeBytes: 210_000_000,
  sharedBytes: 200_000_000,
  uniqueBytes: 10_000_000,
  layers: 3,
  sandboxes: 2,
};

export interface StandIn {
  url(): string;
  /** Every request that was understood: route and what the schema made of it. */
  readonly requests: { route: string; request: unknown }[];
  /** What the next task says before it is done, or the error that it ends with. */
  events: ImageEvent[];
  invocation: Partial<Invocation>;
  images: ImageSummary[];
  /** What the last request proved who it is with. */
  authorization: string | undefined;
  lastRun(): ParsedRunRequest;
}

/**
 * An HTTP server that understands requests and answers as the contract says, without sandboxes behind it: for what the
 * command line makes of replies that a real platform gives only on a bad day.
 */
export function useStandIn(): StandIn {
  let server: Server;
  const standIn: StandIn = {
    url: () => `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    requests: [],
    events: [],
    invocation: {},
    images: [],
    authorization: undefined,
    lastRun: () => standIn.requests.at(-1)?.request as ParsedRunRequest,
  };
  const app = createStandInApp(standIn);

  beforeAll(async () => {
    server = createAdaptorServer({ fetch: app.fetch }) as Server;
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
  });
  beforeEach(() => {
    standIn.requests.length = 0;
    standIn.events = [{ type: 'done', image: anImage }];
    standIn.invocation = {};
    standIn.images = [anImage, { ...anImage, reference: null, created: null }];
  });
  afterAll(() => {
    server.close();
    server.closeAllConnections();
  });
  return standIn;
}

function createStandInApp(standIn: StandIn): Hono {
  const note = <T>(route: string, request: T): T => {
    standIn.requests.push({ route, request });
    return request;
  };
  const refuse = (c: Context, code: ErrorCode, message: string) =>
    c.json({ error: { code, message } }, errorStatus[code]);
  const task = (c: Context) => {
    if (c.req.header('accept') !== 'application/x-ndjson')
      return refuse(c, 'invalid_request', 'the command line always asks for events');
    // In pieces that are no lines, as a network has them.
    const text = standIn.events.map((event) => `${JSON.stringify(event)}\n`).join('');
    const pieces = text.match(/[\s\S]{1,40}/g) ?? [];
    const encoder = new TextEncoder();
    const body = new ReadableStream({
      pull(controller) {
        const piece = pieces.shift();
        if (piece === undefined) controller.close();
        else controller.enqueue(encoder.encode(piece));
      },
    });
    return c.body(body, 200, { 'content-type': 'application/x-ndjson' });
  };
  /** As a platform tells a run that ends with its stdin. */
  const live = (c: Context, stdinEnds: Promise<void>) => {
    const invocation = invocationOf(standIn);
    const events = [
      ['started', { id: invocation.id, start: 'warm' }],
      ['stdout', { text: invocation.stdout }],
      ['stderr', { text: invocation.stderr }],
      ['end', invocation],
    ] as const;
    const text = events.map(([name, data]) => `event: ${name}\ndata: ${JSON.stringify(data)}\n\n`).join('');
    const body = new ReadableStream({
      async start(controller) {
        // Headers go out with the first byte.
        controller.enqueue(new TextEncoder().encode(': stand-in\n\n'));
        await stdinEnds;
        controller.enqueue(new TextEncoder().encode(text));
        controller.close();
      },
    });
    return c.body(body, 200, {
      'content-type': 'text/event-stream',
      'oncebox-invocation-id': invocation.id,
    });
  };
  let onStdinEnd = () => {};
  const known = (reference: string) => reference !== 'missing';
  const missing = (c: Context, reference: string) =>
    refuse(c, 'image_not_found', `there is no image "${reference}"`);

  return new Hono()
    .use(async (c, next) => {
      standIn.authorization = c.req.header('authorization');
      await next();
    })
    .get('/v1/functions', (c) => {
      const settings = {
        digest: digest('f'),
        runtime: 'node',
        handler: 'index.handler',
        env: {},
        limits: {},
      };
      const version = { ...settings, version: 3, createdAt: '2020-01-01T00:00:00Z', sizeBytes: 1 };
      return c.json({ functions: ['hello', 'other'].map((name) => ({ ...version, name })) });
    })
    .get('/v1/images', (c) => c.json({ images: standIn.images }))
    .post('/v1/images', async (c) => {
      note('pull', pullRequestSchema.parse(await c.req.json()));
      return task(c);
    })
    .post('/v1/images/push', async (c) => {
      note('push', pushRequestSchema.parse(await c.req.json()));
      return task(c);
    })
    .post('/v1/functions/:name/push', async (c) => {
      const request = pushFunctionRequestSchema.parse(await c.req.json());
      note('push function', { name: c.req.param('name'), ...request });
      return task(c);
    })
    .post('/v1/images/import', async (c) => {
      const query = importQuerySchema.parse(c.req.query());
      const hash = createHash('sha256').update(Buffer.from(await c.req.arrayBuffer()));
      note('import', { ...query, sha256: hash.digest('hex') });
      return task(c);
    })
    .post('/v1/images/build', async (c) => {
      const query = buildQuerySchema.parse(c.req.query());
      note('build', { ...query, paths: await pathsIn(Buffer.from(await c.req.arrayBuffer())) });
      return task(c);
    })
    .post('/v1/images/tag', async (c) => {
      note('tag', tagRequestSchema.parse(await c.req.json()));
      return c.json(anImage, 201);
    })
    .delete('/v1/images', (c) => {
      const query = note('remove', removeQuerySchema.parse(c.req.query()));
      if (!known(query.reference)) return missing(c, query.reference);
      if (query.reference === 'busy' && !query.force)
        return refuse(c, 'image_in_use', '2 sandboxes stand on "localhost/busy:latest"');
      return c.json({ untagged: [query.reference], deleted: [digest('a')], freedBytes: 10_000_000 });
    })
    .get('/v1/images/inspect', (c) => {
      const { reference } = referenceQuerySchema.parse(c.req.query());
      if (!known(reference)) return missing(c, reference);
      const config = { Cmd: ['sh'] };
      const detail = {
        references: [reference],
        os: 'linux',
        architecture: 'amd64',
        config,
        layerDetails: [],
      };
      return c.json({ ...anImage, ...detail, manifest: {} });
    })
    .get('/v1/images/history', (c) => {
      const { reference } = referenceQuerySchema.parse(c.req.query());
      if (!known(reference)) return missing(c, reference);
      const entry = { created: '2020-01-01T00:00:00Z', comment: '' };
      return c.json({
        history: [
          { ...entry, layer: null, createdBy: 'CMD ["sh"]', sizeBytes: 0 },
          { ...entry, layer: digest('b'), createdBy: `RUN ${'long '.repeat(30)}`, sizeBytes: 10_000_000 },
        ],
      });
    })
    .post('/v1/images/prune', (c) =>
      c.json({ images: [digest('a')], layers: [digest('b')], blobs: [], freedBytes: 12_345_678 }),
    )
    .get('/v1/images/df', (c) => {
      const line = { count: 2, bytes: 5_000_000, reclaimableBytes: 1_000 };
      const lines = { images: line, layers: line, blobs: line, sandboxes: line };
      return c.json(diskUsageSchema.parse({ ...lines, freeBytes: 9e9 }));
    })
    .post('/v1/run', async (c) => {
      const parsed = runRequestSchema().safeParse(await c.req.json());
      if (!parsed.success) return refuse(c, 'invalid_request', parsed.error.issues[0]?.message ?? '');
      const request = note('run', parsed.data);
      if (request.image === 'missing') return missing(c, 'missing');
      if (request.interactive) return live(c, new Promise((resolve) => (onStdinEnd = resolve)));
      if (c.req.header('accept') === 'text/event-stream') return live(c, Promise.resolve());
      return c.json(invocationOf(standIn));
    })
    .put('/v1/invocations/:id/stdin/:number', async (c) => {
      const piece = Buffer.from(await c.req.arrayBuffer()).toString();
      standIn.lastRun().stdin += piece;
      if (piece === '') onStdinEnd();
      return c.body(null, 204);
    })
    .get('/v1/invocations/:id', (c) => c.json(invocationOf(standIn)))
    .get('/v1/invocations/:id/files', (c) => c.body('these are the bytes of a tar'))
    .get('/v1/sandboxes', (c) => {
      const sizes = { writableBytes: 4096, virtualBytes: 210_004_096, memoryBytes: 900_000 };
      const sandbox = { id: 'ab12-1', image: { digest: digest('a') }, ...sizes, node: 'n' };
      const common = { ...sandbox, start: 'warm', memoryPeakBytes: 950_000, ageMs: 61_000 };
      return c.json({
        sandboxes: [
          { ...common, state: 'created', runtime: 'node' },
          { ...common, id: 'ab12-2', state: 'running', invocationId: 'inv_1' },
        ],
        silentNodes: ['slow-node'],
      });
    });
}

function invocationOf({ invocation }: StandIn): Invocation {
  const output = { stdout: '', stderr: '', stdoutTruncated: false, stderrTruncated: false };
  const defaults = { id: 'inv_1', status: 'done', outcome: { status: 'ok' }, ...output };
  return invocationSchema.parse({ ...defaults, ...invocation });
}

async function pathsIn(tar: Buffer): Promise<string[]> {
  const paths: string[] = [];
  const parser = list({ onReadEntry: (entry) => paths.push(entry.path) });
  const ended = once(parser, 'end');
  parser.end(tar);
  await ended;
  return paths.sort();
}
