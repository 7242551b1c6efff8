import { randomUUID } from 'node:crypto';
import { hostname } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { readBaseImages } from '../../runtime/image/base-images.ts';
import { buildImage } from '../../runtime/image/build/builder.ts';
import { openLayerUnpacker } from '../../runtime/image/layer-unpacker.ts';
import { openStore } from '../../runtime/image/store.ts';
import { openSandboxSource, type SandboxSource } from '../../runtime/pool/sandbox-source.ts';
import { createOciSandbox } from '../../runtime/sandbox/oci/oci-sandbox.ts';
import { findOciWalls } from '../../runtime/sandbox/oci/wall.ts';
import { openZone } from '../../runtime/zygote/zone.ts';
import type { Limits } from '../../sdk/contract/limits.ts';
import { createCallbacks } from '../callbacks/callbacks.ts';
import { followChannel } from '../queue/event-stream.ts';
import { announceImages } from '../queue/image-catalogue.ts';
import { cancelChannel } from '../queue/job.ts';
import { succeedWorker } from '../queue/job-locks.ts';
import { joinNodeDirectory } from '../queue/node-directory.ts';
import { createRedisRoom } from '../queue/redis-room.ts';
import { fetchCodeLayer } from '../registry/layer-store.ts';
import { createRegistry } from '../registry/registry.ts';
import { loadConfig } from '../shared/config.ts';
import { dropPrivileges } from '../shared/drop-privileges.ts';
import { createLogger } from '../shared/logger.ts';
import { answerPulse } from '../shared/pulse.ts';
import { connectRedis } from '../shared/redis.ts';
import { serviceIds } from '../shared/service-ids.ts';
import { createUndoStack, onStopRequest } from '../shared/shutdown.ts';
import { openTracing } from '../telemetry/open-tracing.ts';
import { createDeadLetterFitter } from '../tenants/fit-dead-letters.ts';
import { createStorageLedger, withinQuotaOf } from '../tenants/storage-ledger.ts';
import { openTenantBook } from '../tenants/tenant-book.ts';
import { createUsageLedger } from '../tenants/usage-ledger.ts';
import { openUsageMeter } from '../tenants/usage-meter.ts';
import { createFunctionAssembler } from './assemble-function.ts';
import { atMost } from './at-most.ts';
import { MemoryCapacity } from './capacity.ts';
import { createEventWriter } from './events.ts';
import { createInputs } from './input.ts';
import { createInvocationWorker } from './invocation-worker.ts';
import { openKeepWarm } from './keep-warm.ts';
import { createLanguageImages } from './language-images.ts';
import { listSandboxes } from './list-sandboxes.ts';
import { createWorkerMetrics } from './metrics.ts';
import { createNodeApi, serveNodeApi } from './node-api.ts';
import { nodeIdentity } from './node-identity.ts';
import { createNodeImages } from './node-images.ts';
import { createJobPreparer } from './prepare-job.ts';
import { createDiffRecorder } from './record-diff.ts';
import { cgroupHierarchies, openResidueAudit } from './residue.ts';
import { Runs } from './runs.ts';
import { createSecretReader } from './secrets.ts';
import { settleFinished } from './settle-finished.ts';

/** How long running invocations may go on once the worker is asked to stop. */
const drainMs = 10_000;
/** Builds of images at once: each may take two cores and 2 GiB, which capacity.ts does not count. */
const buildsMax = 2;

const config = loadConfig();
const logger = createLogger(config.ONCEBOX_LOG_LEVEL, 'worker');
const undo = createUndoStack(logger);
answerPulse();
onStopRequest(async (reason) => {
  logger.debug({ reason }, 'stopping');
  // Without Redis or launcher the orderly way may never end; with our parent gone they are likely gone too.
  setTimeout(() => process.exit(1), reason === 'parent gone' ? 2_000 : drainMs + 5_000).unref();
  await undo.run();
  process.exit(0);
});
const tracing = await openTracing({
  endpoint: config.ONCEBOX_OTLP_ENDPOINT,
  headers: config.ONCEBOX_OTLP_HEADERS,
  service: 'worker',
});
undo.push(() => tracing.close());
// The launcher serves the ordinary user only, so before anything is opened.
dropPrivileges(serviceIds(config.ONCEBOX_SERVICE_ID).worker);

const redis = connectRedis(config.ONCEBOX_REDIS_URL, { logger });
const subscriber = connectRedis(config.ONCEBOX_REDIS_URL, { logger });
undo.push(() => {
  subscriber.disconnect();
  redis.disconnect();
});

const launcherSocket = join(config.runDir, 'launcher.sock');
const registry = createRegistry(redis);
// The store asks who uses an image, and the pools need the store's images first.
let source: SandboxSource | undefined;
const store = openStore(config.storeDir, {
  unpacker: openLayerUnpacker({ launcherSocket, layersDir: join(config.storeDir, 'layers') }),
  usage: {
    sandboxesOn: (digest) => source?.sandboxesOn(digest) ?? 0,
    async pinned() {
      const { images: used, layers } = await registry.pinned();
      // A function may be deleted while a call of it runs.
      const inUse = source?.layersInUse() ?? [];
      return {
        images: new Set([...used, ...Object.values(bases).map(({ digest }) => digest)]),
        layers: new Set([...layers, ...inUse]),
      };
    },
    reserved: new Set(['node', 'python', 'bash'].map((name) => `localhost/${name}:latest`)),
    drain: async (digest) => (await source?.drain(digest)) ?? (() => {}),
  },
});
await store.sweep();
const images = createNodeImages(store, logger);
const built = await readBaseImages(config.storeDir);
const [node, python, bash] = await Promise.all(
  ['node', 'python', 'bash'].map((name) => images.resolve(built.get(name) ?? name)),
);
if (!node || !python || !bash) throw new Error('cannot serve: a base image is missing');
const bases = { node, python, bash };
const walls = await findOciWalls();
source = await openSandboxSource({
  openZone: (request) => openZone({ launcherSocket, readyMs: config.ONCEBOX_READY_MS, ...request }),
  images: bases,
  targets: {
    node: config.ONCEBOX_POOL_NODE,
    python: config.ONCEBOX_POOL_PYTHON,
    bash: config.ONCEBOX_POOL_BASH,
  },
  functionTarget: config.ONCEBOX_POOL_FUNCTION,
  functionIdleMs: config.ONCEBOX_POOL_FUNCTION_IDLE_MS,
  ...(config.ONCEBOX_ZYGOTE_MEMORY_BYTES > 0 && {
    functionZygotes: {
      memoryBytes: config.ONCEBOX_ZYGOTE_MEMORY_BYTES,
      onUnfit: (reason, { name, version }) =>
        logger.warn({ function: name, version, reason }, 'a function goes without a zygote of its own'),
    },
  }),
  parkedMax: config.ONCEBOX_POOL_MAX,
  rotation: { forksMax: config.ONCEBOX_ZYGOTE_FORKS_MAX, ageMs: config.ONCEBOX_ZYGOTE_AGE_MS },
  oci: { walls, create: (options) => createOciSandbox({ launcherSocket, ...options }) },
  onError: (error, what) => logger.warn({ err: error, what }, 'cannot make a sandbox'),
});
const openedSource = source;
undo.push(() => openedSource.close());

const tenantError = (error: unknown) => logger.warn({ err: error }, "cannot write down a tenant's usage");
const ledger = createUsageLedger(redis);
const book = await openTenantBook({ redis, subscriber, onError: tenantError });
undo.push(() => book.close());
const storage = createStorageLedger(redis);
const runs = new Runs();
const events = createEventWriter({
  redis,
  room: createRedisRoom(redis, () => {}),
  keepMs: config.ONCEBOX_RECORDS_KEPT_MS,
  // Looked up and not claimed: each of a tenant's streams may go beyond its quota by what it asks for at once.
  async hasStorage(tenant, bytes) {
    const quota = book.quotasOf(tenant).storageBytes;
    return quota === undefined || (await storage.storedBytes(tenant)) + bytes <= quota;
  },
  onError: (error) => logger.warn({ err: error }, 'cannot write the events of an invocation'),
});
const inputs = createInputs({
  redis,
  subscriber,
  onError: (error) => logger.warn({ err: error }, 'cannot read the input of an invocation'),
});
undo.push(() => inputs.close());
subscriber.on('message', (channel, id) => {
  if (channel === cancelChannel) runs.cancel(id);
  if (channel === followChannel) events.follow(id);
});
await subscriber.subscribe(cancelChannel, followChannel);

const capacity = new MemoryCapacity(config.ONCEBOX_MEMORY_BYTES, () => book.isShared());
// As many as run at once with the usual caps, or one with the largest, or one of the usual whose changes are asked for.
const outputOf = ({ stdoutBytes, stderrBytes }: Limits) => stdoutBytes + stderrBytes;
const outputCapacity = new MemoryCapacity(
  Math.max(
    config.ONCEBOX_CONCURRENCY * outputOf(config.ONCEBOX_DEFAULT_LIMITS),
    outputOf(config.ONCEBOX_MAX_LIMITS),
    96 * 1024 * 1024,
  ),
  () => book.isShared(),
);
const metrics = createWorkerMetrics({ source: openedSource, capacity, runs });
const audit = openResidueAudit({
  hierarchies: await cgroupHierarchies(),
  instance: config.instance,
  live: () => openedSource.living(),
  onFound(kind, path) {
    metrics.found(kind);
    logger.error({ kind, path }, 'a sandbox left something behind');
  },
  onError: (error) => logger.warn({ err: error }, 'cannot look for what sandboxes left behind'),
});
undo.push(() => audit.close());

const meter = openUsageMeter(ledger, tenantError);
undo.push(() => meter.close());

const callbacks = createCallbacks({
  redis,
  kept: { count: config.ONCEBOX_RECORDS_KEPT, ms: config.ONCEBOX_RECORDS_KEPT_MS },
});
undo.push(() => callbacks.close());
const fitter = createDeadLetterFitter({
  makeFit: (tenant, newIds) => storage.fitDeadLetters(tenant, book.quotasOf(tenant).storageBytes, newIds),
  onError: (error) => logger.warn({ err: error }, "cannot make a tenant's dead letters fit its quota"),
});
undo.push(() => fitter.close());
const ensureCodeLayer = (hex: string) => store.ensureLayer(hex, () => fetchCodeLayer(redis, hex));
const worker = createInvocationWorker({
  redis,
  callbacks,
  concurrency: config.ONCEBOX_CONCURRENCY,
  isShared: () => book.isShared(),
  recordsKept: { count: config.ONCEBOX_RECORDS_KEPT, ms: config.ONCEBOX_RECORDS_KEPT_MS },
  deadLetters: {
    kept: config.ONCEBOX_DEAD_LETTERS_KEPT,
    keptMs: config.ONCEBOX_DEAD_LETTERS_KEPT_MS,
    onKept: fitter.kept,
  },
  deps: {
    source: openedSource,
    capacity,
    outputCapacity,
    runs,
    prepare: createJobPreparer({
      bases,
      images,
      ensureCodeLayer,
      readSecrets: createSecretReader(redis, config.ONCEBOX_SECRETS_KEY),
    }),
    recordDiff: createDiffRecorder({
      redis,
      maxBytes: config.ONCEBOX_FILES_MAX_BYTES,
      keepMs: config.ONCEBOX_RECORDS_KEPT_MS,
      withinQuota: withinQuotaOf(book, storage),
    }),
    events,
    inputs,
    finished(invocation, tenant) {
      metrics.finished(invocation);
      meter.add(tenant, invocation);
    },
    logger,
    tracing,
  },
});
settleFinished(worker, { book, ledger, onError: tenantError });
undo.push(async () => {
  const closed = worker.close();
  runs.drain();
  await Promise.race([closed, delay(drainMs)]);
  runs.abortAll();
  await closed;
});

const identity = await nodeIdentity(config.ONCEBOX_DATA_DIR);
const name = `${hostname()}-${randomUUID().slice(0, 8)}`;
const sandboxes = () => listSandboxes(openedSource, runs, images, name);
const directory = await joinNodeDirectory({
  redis,
  subscriber,
  node: {
    node: name,
    pid: process.pid,
    concurrency: config.ONCEBOX_CONCURRENCY,
    startedAt: new Date().toISOString(),
    isolations: ['native', ...walls],
  },
  identity,
  listSandboxes: sandboxes,
  onError: (error) => logger.warn({ err: error }, 'node directory failed'),
});
undo.push(() => directory.leave());
const announcer = await announceImages({
  redis,
  node: name,
  list: () => store.list(),
  onError: (error) => logger.warn({ err: error }, 'cannot announce images'),
});
undo.push(() => announcer.leave());
store.onChange(() => void announcer.update());

const keepWarm = openKeepWarm({
  redis,
  registry,
  source: openedSource,
  prepare: createJobPreparer({ bases, images, ensureCodeLayer, readSecrets: async () => [] }),
  places: Math.floor(config.ONCEBOX_POOL_MAX / 2),
  defaults: config.ONCEBOX_DEFAULT_LIMITS,
  maxima: config.ONCEBOX_MAX_LIMITS,
  onError: (error) => logger.warn({ err: error }, 'cannot keep a function warm'),
});
undo.push(() => keepWarm.close());

const languages = createLanguageImages({ store, images, source: openedSource, capacity, launcherSocket });
await languages.sweep();
const nodeApi = createNodeApi({
  store,
  languages,
  sandboxes,
  build: atMost(buildsMax, 'build an image', (context, query, task) =>
    buildImage(context, query, { store, launcherSocket, ...task }),
  ),
  assemble: createFunctionAssembler({ registry, redis, store, images }),
  announced: () => announcer.update(),
  metrics: () => metrics.text(),
  logger,
});
undo.push(await serveNodeApi(nodeApi, config.nodeSocket));

const leftBehind = await succeedWorker(redis, identity, worker.id);
if (leftBehind > 0) {
  logger.warn({ invocations: leftBehind }, 'the worker before this one died at work');
  await worker.backend.moveStalledJobsToWait();
}
worker.run().catch((error: unknown) => logger.error({ err: error }, 'the queue worker ended'));
process.send?.({ type: 'ready' });
logger.debug({ node: name }, 'ready');
