import { addressRule } from '../callbacks/address-rules.ts';
import { createCallbacks } from '../callbacks/callbacks.ts';
import { startDelivering } from '../callbacks/deliver.ts';
import { startFindingEnds } from '../callbacks/find-ends.ts';
import { createPoster } from '../callbacks/post.ts';
import { createCallbackSecrets } from '../callbacks/secrets.ts';
import { createLanguageCatalogue } from '../languages/installed-languages.ts';
import { createImageCatalogue } from '../queue/image-catalogue.ts';
import { createInvocationQueue } from '../queue/invocation-queue.ts';
import { openNodeDirectory } from '../queue/node-directory.ts';
import { createRegistry } from '../registry/registry.ts';
import { startFiring } from '../schedules/fire.ts';
import { createSchedules } from '../schedules/schedules.ts';
import { createSecretStore } from '../secrets/secret-store.ts';
import { loadConfig } from '../shared/config.ts';
import { dropPrivileges } from '../shared/drop-privileges.ts';
import { createLogger } from '../shared/logger.ts';
import { answerPulse } from '../shared/pulse.ts';
import { connectRedis } from '../shared/redis.ts';
import { serviceIds } from '../shared/service-ids.ts';
import { createUndoStack, onStopRequest } from '../shared/shutdown.ts';
import { openTracing } from '../telemetry/open-tracing.ts';
import { openTenancy } from '../tenants/tenancy.ts';
import { limitByTenant } from '../tenants/tenant-queue.ts';
import { limitStorage } from '../tenants/tenant-registry.ts';
import { createApp } from './app.ts';
import { callScheduled } from './call-scheduled.ts';
import type { GatewayDeps } from './deps.ts';
import { createHeldConnections } from './held-connections.ts';
import { createGatewayMetrics } from './metrics.ts';
import { listen } from './server.ts';

/** How long requests under way may go on once the gateway is asked to stop. */
const drainMs = 10_000;

const config = loadConfig();
if (config.ONCEBOX_REDIS_URL === '') {
  throw new Error(
    'cannot start the gateway: ONCEBOX_REDIS_URL is not set (npm start sets it to the embedded Redis)',
  );
}
const logger = createLogger(config.ONCEBOX_LOG_LEVEL, 'gateway');
const undo = createUndoStack(logger);
answerPulse();
onStopRequest(async (reason) => {
  logger.debug({ reason }, 'stopping');
  // Without Redis the orderly way may never end; with our parent gone the embedded one is gone too.
  setTimeout(() => process.exit(1), reason === 'parent gone' ? 2_000 : drainMs + 3_000).unref();
  await undo.run();
  process.exit(0);
});
const tracing = await openTracing({
  endpoint: config.ONCEBOX_OTLP_ENDPOINT,
  headers: config.ONCEBOX_OTLP_HEADERS,
  service: 'gateway',
});
undo.push(() => tracing.close());
// All code is loaded; from here on an ordinary user is enough.
dropPrivileges(serviceIds(config.ONCEBOX_SERVICE_ID).gateway);

const redis = connectRedis(config.ONCEBOX_REDIS_URL, { failFast: true, logger });
const subscriber = connectRedis(config.ONCEBOX_REDIS_URL, { logger });
undo.push(() => {
  subscriber.disconnect();
  redis.disconnect();
});

const onError = (error: unknown) => logger.warn({ err: error }, 'background work failed');
const directory = await openNodeDirectory({ redis, subscriber, onError });
undo.push(() => directory.close());
const queue = await createInvocationQueue({
  redis,
  subscriber,
  queueMax: config.ONCEBOX_QUEUE_MAX,
  recordsKept: config.ONCEBOX_RECORDS_KEPT,
  recordsKeptMs: config.ONCEBOX_RECORDS_KEPT_MS,
  onError,
});
undo.push(() => queue.close());

const tenancy = await openTenancy({
  redis,
  subscriber,
  needsKeys: config.needsKeys,
  adminKey: config.ONCEBOX_ADMIN_KEY,
  onError,
});
undo.push(() => tenancy.close());
// Its commands outlast an absence of Redis: nobody waits for what is done behind the requests.
const backgroundRedis = connectRedis(config.ONCEBOX_REDIS_URL, { logger });
undo.push(() => backgroundRedis.disconnect());
const schedules = createSchedules(redis, queue.room, tenancy.withinQuota);
undo.push(() => schedules.close());
const kept = { count: config.ONCEBOX_RECORDS_KEPT, ms: config.ONCEBOX_RECORDS_KEPT_MS };
const callbacks = createCallbacks({ redis, kept });
undo.push(() => callbacks.close());
const metrics = createGatewayMetrics();
const catalogue = createImageCatalogue(redis);
const deps: GatewayDeps = {
  config,
  queue: limitByTenant(queue, { ...tenancy, onError }),
  registry: limitStorage(createRegistry(redis, queue.room), tenancy),
  secrets: createSecretStore(redis, config.ONCEBOX_SECRETS_PUBLIC_KEY, queue.room, tenancy.withinQuota),
  directory,
  catalogue,
  languages: createLanguageCatalogue(catalogue),
  tenancy,
  held: createHeldConnections(config.ONCEBOX_STREAMS_MAX),
  schedules,
  callbacks,
  callbackSecrets: createCallbackSecrets(redis),
  metrics,
  tracing,
  logger,
};
const firing = startFiring({
  redis: backgroundRedis,
  schedules,
  call: (call) => callScheduled(deps, call),
  onDue: metrics.scheduled,
  logger,
});
undo.push(() => firing.close());
const backgroundCallbacks = createCallbacks({ redis: backgroundRedis, kept });
undo.push(() => backgroundCallbacks.close());
const poster = createPoster(addressRule(config.ONCEBOX_CALLBACK_ALLOW));
undo.push(() => poster.close());
const delivering = startDelivering({
  redis: backgroundRedis,
  callbacks: backgroundCallbacks,
  secrets: createCallbackSecrets(backgroundRedis),
  poster,
  onSettled: metrics.calledBack,
  logger,
});
undo.push(() => delivering.close());
const findingEnds = startFindingEnds({ callbacks, queue, onError });
undo.push(() => findingEnds.close());

const app = createApp(deps);
const server = await listen(app, { host: config.ONCEBOX_HOST, port: config.ONCEBOX_PORT });
undo.push(() => server.close(drainMs));
process.send?.({ type: 'listening', port: server.port });
logger.debug({ host: config.ONCEBOX_HOST, port: server.port }, 'listening');
