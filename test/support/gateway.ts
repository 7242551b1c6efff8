import { type Job, Worker } from 'bullmq';
import { afterEach, beforeEach } from 'vitest';
import type { Invocation } from '../../sdk/contract/invocation.ts';
import { type Callbacks, createCallbacks } from '../../services/callbacks/callbacks.ts';
import { createCallbackSecrets } from '../../services/callbacks/secrets.ts';
import { createApp } from '../../services/gateway/app.ts';
import { createHeldConnections } from '../../services/gateway/held-connections.ts';
import { createLanguageCatalogue } from '../../services/languages/installed-languages.ts';
import { createImageCatalogue, type ImageAnnouncer } from '../../services/queue/image-catalogue.ts';
import { createInvocationQueue, type InvocationQueue } from '../../services/queue/invocation-queue.ts';
import {
  cancelChannel,
  type InvocationJob,
  invocationQueueName,
  queuePrefix,
} from '../../services/queue/job.ts';
import { type NodeDirectory, openNodeDirectory } from '../../services/queue/node-directory.ts';
import { cancelledInvocation, lostInvocation } from '../../services/queue/record.ts';
import { publishResult } from '../../services/queue/result-channel.ts';
import { createRegistry, type Registry } from '../../services/registry/registry.ts';
import { createSchedules, type Schedules } from '../../services/schedules/schedules.ts';
import { createSecretStore } from '../../services/secrets/secret-store.ts';
import { loadConfig } from '../../services/shared/config.ts';
import { createLogger } from '../../services/shared/logger.ts';
import { createUndoStack, type UndoStack } from '../../services/shared/shutdown.ts';
import { openTenancy, type Tenancy } from '../../services/tenants/tenancy.ts';
import { limitByTenant } from '../../services/tenants/tenant-queue.ts';
import { limitStorage } from '../../services/tenants/tenant-registry.ts';
import { announce, baseImages } from './images.ts';
import type { TestRedis } from './redis.ts';

export type Processor = (job: Job<InvocationJob>, cancelled: AbortSignal) => Promise<Invocation>;

export interface TestGateway {
  readonly app: ReturnType<typeof createApp>;
  readonly queue: InvocationQueue;
  readonly registry: Registry;
  readonly directory: NodeDirectory;
  readonly tenancy: Tenancy;
  readonly schedules: Schedules;
  readonly callbacks: Callbacks;
  /** Of the node whose base images the gateway knows. */
  readonly announcer: ImageAnnouncer;
  readonly undo: UndoStack;
  /**
   * A real queue worker whose invocations are run by `processor` instead of a sandbox: for tests of what the
   * gateway makes of results.
   */
  startWorker(processor: Processor): Promise<void>;
  postJson(path: string, body: unknown, init?: RequestInit): Promise<Response>;
}

/** A gateway on a real Redis, made anew for each test. */
export function useGateway(testRedis: TestRedis, environment: Record<string, string> = {}): TestGateway {
  const config = loadConfig({ ONCEBOX_BODY_MAX_BYTES: '65536', ...environment });
  const current = {} as {
    -readonly [K in
      | 'app'
      | 'queue'
      | 'registry'
      | 'directory'
      | 'tenancy'
      | 'schedules'
      | 'callbacks'
      | 'announcer'
      | 'undo']: TestGateway[K];
  };

  beforeEach(async () => {
    const { redis } = testRedis;
    const subscriber = testRedis.connect();
    const onError = (error: unknown) => {
      throw error;
    };
    current.undo = createUndoStack();
    current.undo.push(() => subscriber.disconnect());
    current.directory = await openNodeDirectory({ redis, subscriber, onError });
    current.undo.push(() => current.directory.close());
    current.queue = await createInvocationQueue({
      redis,
      subscriber,
      queueMax: config.ONCEBOX_QUEUE_MAX,
      recordsKept: config.ONCEBOX_RECORDS_KEPT,
      recordsKeptMs: config.ONCEBOX_RECORDS_KEPT_MS,
      onError,
    });
    current.undo.push(() => current.queue.close());
    current.registry = createRegistry(redis, current.queue.room);
    current.announcer = await announce(redis, baseImages);
    current.undo.push(() => current.announcer.leave());
    current.tenancy = await openTenancy({
      redis,
      subscriber,
      needsKeys: config.needsKeys,
      adminKey: config.ONCEBOX_ADMIN_KEY,
      onError,
    });
    current.undo.push(() => current.tenancy.close());
    current.queue = limitByTenant(current.queue, { ...current.tenancy, onError });
    current.registry = limitStorage(current.registry, current.tenancy);
    current.schedules = createSchedules(redis, current.queue.room, current.tenancy.withinQuota);
    current.undo.push(() => current.schedules.close());
    current.callbacks = createCallbacks({
      redis,
      kept: { count: config.ONCEBOX_RECORDS_KEPT, ms: config.ONCEBOX_RECORDS_KEPT_MS },
    });
    current.undo.push(() => current.callbacks.close());
    const callbackSecrets = createCallbackSecrets(redis);
    const { queue, registry, directory, tenancy, schedules, callbacks } = current;
    const catalogue = createImageCatalogue(redis);
    const logger = createLogger('silent', 'test');
    const secrets = createSecretStore(
      redis,
      config.ONCEBOX_SECRETS_PUBLIC_KEY,
      queue.room,
      tenancy.withinQuota,
    );
    current.app = createApp({
      config,
      queue,
      registry,
      secrets,
      directory,
      catalogue,
      languages: createLanguageCatalogue(catalogue),
      tenancy,
      held: createHeldConnections(config.ONCEBOX_STREAMS_MAX),
      schedules,
      callbacks,
      callbackSecrets,
      logger,
    });
  });
  afterEach(() => current.undo.run());

  async function startWorker(processor: Processor): Promise<void> {
    const redis = testRedis.connect();
    const subscriber = testRedis.connect();
    const running = new Map<string, AbortController>();
    let isClosing = false;
    subscriber.on('message', (channel, id) => channel === cancelChannel && running.get(id)?.abort());
    await subscriber.subscribe(cancelChannel);
    const worker = new Worker<InvocationJob, Invocation>(
      invocationQueueName,
      async (job) => {
        const controller = new AbortController();
        running.set(job.id ?? '', controller);
        // One that was on its way when all others were told.
        if (isClosing) controller.abort();
        return processor(job, controller.signal);
      },
      { connection: redis, prefix: queuePrefix, concurrency: 16 },
    );
    const publishing: Promise<void>[] = [];
    worker.on('completed', (job, invocation) => {
      publishing.push(publishResult(redis, job.data.replyTo, invocation));
    });
    worker.on('failed', (job, error) => {
      if (!job) return;
      const lost = lostInvocation(job.id ?? '', job.data, error.message);
      publishing.push(publishResult(redis, job.data.replyTo, lost));
    });
    await worker.waitUntilReady();
    current.undo.push(async () => {
      isClosing = true;
      for (const controller of running.values()) controller.abort();
      await worker.close();
      await Promise.all(publishing);
      subscriber.disconnect();
      redis.disconnect();
    });
  }

  return {
    get app() {
      return current.app;
    },
    get queue() {
      return current.queue;
    },
    get registry() {
      return current.registry;
    },
    get directory() {
      return current.directory;
    },
    get tenancy() {
      return current.tenancy;
    },
    get schedules() {
      return current.schedules;
    },
    get callbacks() {
      return current.callbacks;
    },
    get announcer() {
      return current.announcer;
    },
    get undo() {
      return current.undo;
    },
    startWorker,
    async postJson(path, body, init = {}) {
      return current.app.request(path, {
        method: 'POST',
        body: typeof body === 'string' ? body : JSON.stringify(body),
        ...init,
        headers: { 'content-type': 'application/json', ...init.headers },
      });
    },
  };
}

/** What a worker returns for a handler or snippet that went well. */
export function finished(job: Job<InvocationJob>, fields: Partial<Invocation> = {}): Invocation {
  return {
    ...cancelledInvocation(job.id ?? '', job.data),
    outcome: { status: 'ok' },
    start: 'warm',
    image: { digest: `sha256:${'0'.repeat(64)}` },
    timings: {
      ...{ receiveMs: 0.5, queueMs: 1, admitMs: 0, prepareMs: 0, leaseMs: 0.5 },
      ...{ startMs: 0.25, runMs: 2 },
    },
    usage: {
      ...{ cpuMs: 1, cpuUserMs: 0.75, cpuSystemMs: 0.25, throttledMs: 0, wallMs: 2 },
      ...{ memoryPeakBytes: 1024, writtenBytes: 0 },
    },
    ...fields,
  };
}

/** Resolves with a `cancelled` record once the worker is told to cancel, and never otherwise. */
export const untilCancelled: Processor = (job, cancelled) =>
  new Promise((resolve) => {
    const end = () => resolve(finished(job, { outcome: { status: 'cancelled' } }));
    if (cancelled.aborted) end();
    else cancelled.addEventListener('abort', end, { once: true });
  });

/** A promise that the test resolves: Node 20 has no `Promise.withResolvers`. */
export function gate(): { opened: Promise<void>; open: () => void } {
  let open = () => {};
  const opened = new Promise<void>((resolve) => {
    open = resolve;
  });
  return { opened, open };
}
