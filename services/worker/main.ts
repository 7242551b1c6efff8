import { randomUUID } from 'node:crypto';
import { hostname } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { openStore } from '../../runtime/image/store.ts';
import { defaultSearchPath } from '../../runtime/interpreters/program-job.ts';
import { openSandboxSource } from '../../runtime/pool/sandbox-source.ts';
import { openZone } from '../../runtime/zygote/zone.ts';
import { cancelChannel } from '../queue/job.ts';
import { joinNodeDirectory } from '../queue/node-directory.ts';
import { fetchCodeLayer } from '../registry/layer-store.ts';
import { loadConfig } from '../shared/config.ts';
import { dropPrivileges } from '../shared/drop-privileges.ts';
import { createLogger } from '../shared/logger.ts';
import { connectRedis } from '../shared/redis.ts';
import { createUndoStack, onStopRequest } from '../shared/shutdown.ts';
import { MemoryCapacity } from './capacity.ts';
import { createInvocationWorker } from './invocation-worker.ts';
import { listSandboxes } from './list-sandboxes.ts';
import { Runs } from './runs.ts';

/** How long running invocations may go on once the worker is asked to stop. */
const drainMs = 10_000;

const config = loadConfig();
const logger = createLogger(config.ONCEBOX_LOG_LEVEL, 'worker');
const undo = createUndoStack(logger);
onStopRequest(async (reason) => {
  logger.debug({ reason }, 'stopping');
  // Without Redis or launcher the orderly way may never end; with our parent gone they are likely gone too.
  setTimeout(() => process.exit(1), reason === 'parent gone' ? 2_000 : drainMs + 5_000).unref();
  await undo.run();
  process.exit(0);
});
// The launcher serves the ordinary user only, so before anything is opened.
dropPrivileges(config.ONCEBOX_SERVICE_ID);

const redis = connectRedis(config.ONCEBOX_REDIS_URL, { logger });
const subscriber = connectRedis(config.ONCEBOX_REDIS_URL, { logger });
undo.push(() => {
  subscriber.disconnect();
  redis.disconnect();
});

const store = openStore(config.storeDir);
const [node, python, bash] = await Promise.all(['node', 'python', 'bash'].map((name) => store.resolve(name)));
if (!node || !python || !bash) throw new Error('cannot serve: a base image is missing');
const launcherSocket = join(config.runDir, 'launcher.sock');
const source = await openSandboxSource({
  openZone: ({ interpreter, image }) =>
    openZone({ launcherSocket, interpreter, layers: image.layers, searchPath: defaultSearchPath }),
  images: { node, python, bash },
  targets: {
    node: config.ONCEBOX_POOL_NODE,
    python: config.ONCEBOX_POOL_PYTHON,
    bash: config.ONCEBOX_POOL_BASH,
  },
  functionTarget: config.ONCEBOX_POOL_FUNCTION,
  functionIdleMs: config.ONCEBOX_POOL_FUNCTION_IDLE_MS,
  onError: (error, runtime) => logger.warn({ err: error, runtime }, 'cannot make a sandbox'),
});
undo.push(() => source.close());

const runs = new Runs();
subscriber.on('message', (channel, id) => {
  if (channel === cancelChannel) runs.cancel(id);
});
await subscriber.subscribe(cancelChannel);

const worker = createInvocationWorker({
  redis,
  concurrency: config.ONCEBOX_CONCURRENCY,
  deps: {
    source,
    capacity: new MemoryCapacity(config.ONCEBOX_MEMORY_BYTES),
    runs,
    ensureCodeLayer: (hex) => store.ensureLayer(hex, () => fetchCodeLayer(redis, hex)),
    logger,
  },
});
undo.push(async () => {
  const closed = worker.close();
  runs.drain();
  await Promise.race([closed, delay(drainMs)]);
  runs.abortAll();
  await closed;
});

const name = `${hostname()}-${randomUUID().slice(0, 8)}`;
const directory = await joinNodeDirectory({
  redis,
  subscriber,
  node: {
    node: name,
    pid: process.pid,
    concurrency: config.ONCEBOX_CONCURRENCY,
    startedAt: new Date().toISOString(),
  },
  listSandboxes: () => listSandboxes(source, runs, name),
  onError: (error) => logger.warn({ err: error }, 'node directory failed'),
});
undo.push(() => directory.leave());

worker.run().catch((error: unknown) => logger.error({ err: error }, 'the queue worker ended'));
process.send?.({ type: 'ready' });
logger.debug({ node: name }, 'ready');
