import { chmod, chown, mkdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { loadSecretKeys } from '../secrets/key-file.ts';
import type { Config } from '../shared/config.ts';
import { serviceIds } from '../shared/service-ids.ts';
import { createUndoStack } from '../shared/shutdown.ts';
import { adminKeyOf } from './admin-key.ts';
import { environmentOf, gatewayChild, launcherChild, redisChild, workerChild } from './children.ts';
import { checkPort, lockInstance } from './instance-lock.ts';
import { endPredecessor, removeRedisLeftovers } from './predecessor.ts';
import { Supervised } from './supervised.ts';
import { syncAppendOnly } from './sync-append-only.ts';

export interface PlatformLog {
  /** A step of the start or the stop is done. */
  step(text: string, ms: number): void;
  /** A child crashed or is back. */
  event(text: string): void;
  /** A line that a child wrote: JSON from our own services, plain text from the others. */
  line(service: string, line: string): void;
}

export interface StartOptions {
  log: PlatformLog;
  /** Aborted, the start is given up and what runs already is ended. */
  signal?: AbortSignal;
  /** On a machine so many times as slow as others its parts have so many times as long; 1 unless given. */
  patience?: number;
}

export interface Platform {
  /** Where the gateway listens. */
  url: string;
  config: Config;
  /** Opens all; undefined where no keys are needed. */
  adminKey: string | undefined;
  /** Process ids of the children, for tests that end one. */
  pids(): Record<string, number | undefined>;
  /** Drains and ends all parts, in order. With `force`, now or while draining, nothing is waited for. */
  close(options?: { force?: boolean }): Promise<void>;
}

/**
 * Starts Redis (unless one is configured), launcher, worker and gateway, and resolves when requests are served.
 * Rejects with nothing left running when a part does not start. Restarts each part that goes by itself: the
 * others reconnect.
 */
export async function startPlatform(
  config: Config,
  { log, signal, patience }: StartOptions,
): Promise<Platform> {
  if (process.getuid?.() !== 0) {
    throw new Error('cannot start: root is needed, for namespaces with mapped ids and for cgroups; try sudo');
  }
  const undo = createUndoStack();
  const wiring = (service: string) => ({
    onLine: (line: string) => log.line(service, line),
    onEvent: log.event,
    patience,
  });
  async function step<T>(text: string, work: Promise<T>): Promise<T> {
    const startedAt = performance.now();
    const result = await work;
    log.step(text, performance.now() - startedAt);
    return result;
  }
  function supervise<T>(part: Supervised<T>): Supervised<T> {
    undo.push(() => part.stop());
    return part;
  }

  try {
    const lock = await lockInstance(config);
    undo.push(() => lock.release());
    await endPredecessor(config);
    await checkPort(config);
    await prepareDirectories(config);
    await removeRedisLeftovers(config);

    const socketUrl = `unix://${encodeURI(join(config.runDir, 'redis.sock'))}`;
    const redisUrl = config.ONCEBOX_REDIS_URL || socketUrl;
    const adminKey = await adminKeyOf(config);
    const { privateKey, publicKey } = await loadSecretKeys(config);
    const environment = environmentOf({
      ...config,
      // The gateway's alone.
      ONCEBOX_ADMIN_KEY: '',
      ONCEBOX_REDIS_URL: redisUrl,
      ONCEBOX_STORE_DIR: config.storeDir,
      ONCEBOX_SECRETS_KEY: '',
      ONCEBOX_SECRETS_PUBLIC_KEY: publicKey,
    });
    const gatewayEnvironment: NodeJS.ProcessEnv = { ...environment, ONCEBOX_ADMIN_KEY: adminKey ?? '' };
    // Who reads what strangers send can seal secrets and open none.
    const workerEnvironment = { ...environment, ONCEBOX_SECRETS_KEY: privateKey };
    // Stopped in reverse: gateway, worker, launcher, Redis. Each needs the ones before it until its own end.
    const redis = config.ONCEBOX_REDIS_URL
      ? undefined
      : supervise(new Supervised(redisChild(config, redisUrl, wiring('redis'))));
    const launcher = supervise(new Supervised(launcherChild(config, wiring('launcher'))));
    const worker = supervise(new Supervised(workerChild(workerEnvironment, wiring('worker'))));
    const gateway = supervise(new Supervised(gatewayChild(gatewayEnvironment, wiring('gateway'))));

    if (redis) {
      const sync = syncAppendOnly(config.redisDir);
      undo.push(() => sync.stop());
    }
    const redisStarted = redis && step('Redis answers', redis.start());
    // Loading code takes the services longer than Redis needs to open its socket; they reconnect anyway.
    const served = Promise.all([
      step('launcher listens', launcher.start()).then(() => step('warm pools are full', worker.start())),
      step('gateway listens', gateway.start()),
      redisStarted,
    ]);
    const [, port] = await Promise.race([served, aborted(signal)]);
    // A restarted gateway comes back where it was, also when the first was free to choose.
    gatewayEnvironment.ONCEBOX_PORT = `${port}`;
    return {
      url: urlOf(config.ONCEBOX_HOST, port),
      config,
      adminKey,
      pids: () => ({ redis: redis?.pid, launcher: launcher.pid, worker: worker.pid, gateway: gateway.pid }),
      async close({ force = false } = {}) {
        // The launcher is not killed: it takes the cgroups away, and does not wait for anyone.
        if (force) for (const part of [worker, gateway]) part.kill();
        await undo.run();
      },
    };
  } catch (error) {
    await undo.run();
    throw error;
  }
}

function aborted(signal: AbortSignal | undefined): Promise<never> {
  return new Promise((_, reject) =>
    signal?.addEventListener('abort', () => reject(signal.reason), { once: true }),
  );
}

/** Somewhere to connect to: an address that means "all" is none. */
function urlOf(host: string, port: number): string {
  if (host === '0.0.0.0' || host === '::') return `http://localhost:${port}`;
  return `http://${host.includes(':') ? `[${host}]` : host}:${port}`;
}

/**
 * The worker's user owns Redis's data and the directory of the sockets, which the gateway may enter too; all else in the
 * data directory is root's.
 */
async function prepareDirectories(config: Config): Promise<void> {
  const { uid, gid } = serviceIds(config.ONCEBOX_SERVICE_ID).worker;
  await mkdir(config.ONCEBOX_DATA_DIR, { recursive: true });
  await chmod(config.ONCEBOX_DATA_DIR, 0o755);
  for (const [dir, mode] of [
    [config.runDir, 0o710],
    [config.redisDir, 0o700],
  ] as const) {
    await mkdir(dir, { recursive: true });
    await chmod(dir, mode);
    await chown(dir, uid, gid);
  }
  // Left by a run that was killed; they would only delay the first connects.
  for (const name of ['redis.sock', 'launcher.sock']) await rm(join(config.runDir, name), { force: true });
}
