import { createCallbacks } from '../../services/callbacks/callbacks.ts';
import { createCallbackSecrets } from '../../services/callbacks/secrets.ts';
import { createApp } from '../../services/gateway/app.ts';
import type { GatewayDeps } from '../../services/gateway/deps.ts';
import { createHeldConnections } from '../../services/gateway/held-connections.ts';
import { listen } from '../../services/gateway/server.ts';
import { createLanguageCatalogue } from '../../services/languages/installed-languages.ts';
import { createImageCatalogue } from '../../services/queue/image-catalogue.ts';
import { createInvocationQueue } from '../../services/queue/invocation-queue.ts';
import { openNodeDirectory } from '../../services/queue/node-directory.ts';
import { createRegistry } from '../../services/registry/registry.ts';
import { createSchedules } from '../../services/schedules/schedules.ts';
import { createSecretStore } from '../../services/secrets/secret-store.ts';
import type { Config } from '../../services/shared/config.ts';
import { createLogger } from '../../services/shared/logger.ts';
import { connectRedis } from '../../services/shared/redis.ts';
import { createUndoStack } from '../../services/shared/shutdown.ts';
import { openTenancy } from '../../services/tenants/tenancy.ts';

export interface GatewayBeside {
  url: string;
  close(): Promise<void>;
}

/** One more gateway of a running platform, in this process: for tests that give it what no setting gives. */
export async function startGatewayBeside(
  config: Config,
  given: Partial<GatewayDeps>,
): Promise<GatewayBeside> {
  const undo = createUndoStack();
  const connect = () => {
    const redis = connectRedis(`unix://${config.runDir}/redis.sock`);
    undo.push(() => redis.disconnect());
    return redis;
  };
  const redis = connect();
  const subscriber = connect();
  const onError = (error: unknown) => {
    throw error;
  };
  const directory = await openNodeDirectory({ redis, subscriber, onError });
  undo.push(() => directory.close());
  const kept = { recordsKept: config.ONCEBOX_RECORDS_KEPT, recordsKeptMs: config.ONCEBOX_RECORDS_KEPT_MS };
  const queueMax = config.ONCEBOX_QUEUE_MAX;
  const queue = await createInvocationQueue({ redis, subscriber, queueMax, ...kept, onError });
  undo.push(() => queue.close());
  const tenancy = await openTenancy({ redis, subscriber, needsKeys: false, adminKey: '', onError });
  undo.push(() => tenancy.close());
  const schedules = createSchedules(redis, queue.room);
  undo.push(() => schedules.close());
  const callbacks = createCallbacks({ redis, kept: { count: kept.recordsKept, ms: kept.recordsKeptMs } });
  undo.push(() => callbacks.close());
  const catalogue = createImageCatalogue(redis);
  const app = createApp({
    config,
    queue,
    registry: createRegistry(redis, queue.room),
    secrets: createSecretStore(redis, config.ONCEBOX_SECRETS_PUBLIC_KEY, queue.room),
    directory,
    catalogue,
    languages: createLanguageCatalogue(catalogue),
    tenancy,
    schedules,
    callbacks,
    callbackSecrets: createCallbackSecrets(redis),
    held: createHeldConnections(config.ONCEBOX_STREAMS_MAX),
    logger: createLogger('silent', 'test'),
    ...given,
  });
  const server = await listen(app, { host: '127.0.0.1', port: 0 });
  undo.push(() => server.close(1_000));
  return { url: `http://127.0.0.1:${server.port}`, close: () => undo.run() };
}
