import type { ChildProcess } from 'node:child_process';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import type { Config } from '../shared/config.ts';
import { connectRedis } from '../shared/redis.ts';
import { serviceIds } from '../shared/service-ids.ts';
import type { ChildSpec } from './supervised.ts';

type Wiring<T> = Pick<ChildSpec<T>, 'onLine' | 'onEvent' | 'patience'>;

const root = fileURLToPath(new URL('../../', import.meta.url));
const nativeBuild = join(root, 'runtime/native/build');

/** Children see our settings and nothing else of the environment that we were started in. */
const searchPath = '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin';

/**
 * Our own Redis: on a socket only, nothing ever evicted. What it has answered is in its append-only file, also when it is
 * killed: with `everysec` it answers before it writes whenever an fsync is under way, and an invocation that was taken
 * would wait again after a restart. So it never syncs itself, and `syncAppendOnly` does, every second.
 */
export function redisChild(config: Config, url: string, wiring: Wiring<void>): ChildSpec<void> {
  const { uid, gid } = serviceIds(config.ONCEBOX_SERVICE_ID).redis;
  const socket = decodeURIComponent(new URL(url).pathname);
  const settings = {
    port: '0',
    unixsocket: socket,
    // The gateway is of the group.
    unixsocketperm: '770',
    dir: config.redisDir,
    appendonly: 'yes',
    appendfsync: 'no',
    save: '',
    maxmemory: `${config.ONCEBOX_REDIS_MEMORY_BYTES}`,
    'maxmemory-policy': 'noeviction',
  };
  return {
    ...wiring,
    name: 'redis',
    hasIpc: false,
    command: () => ({
      file: 'setpriv',
      // It reads no stdin and knows no IPC, so the kernel tells it when we are gone.
      args: [
        ...[
          '--pdeathsig',
          'TERM',
          '--reuid',
          `${uid}`,
          '--regid',
          `${gid}`,
          '--clear-groups',
          'redis-server',
        ],
        ...Object.entries(settings).flatMap(([name, value]) => [`--${name}`, value]),
      ],
      env: { PATH: searchPath },
    }),
    ready: (child) => answers(child, url),
    pulse: (child) => answers(child, url),
    stopTimeoutMs: 10_000,
  };
}

/** Resolves when Redis answers, rejects when it has ended: a client would look for it for ever, and keep us. */
async function answers(child: ChildProcess, url: string): Promise<void> {
  const redis = connectRedis(url);
  const give = () => redis.disconnect();
  child.once('exit', give);
  if (child.exitCode !== null || child.signalCode !== null) give();
  try {
    await redis.ping();
  } finally {
    child.off('exit', give);
    give();
  }
}

/** The only part that stays root. */
export function launcherChild(config: Config, wiring: Wiring<void>): ChildSpec<void> {
  const options = {
    socket: join(config.runDir, 'launcher.sock'),
    layers: join(config.storeDir, 'layers'),
    platform: join(nativeBuild, 'platform'),
    'worker-uid': `${serviceIds(config.ONCEBOX_SERVICE_ID).worker.uid}`,
    instance: config.instance,
    'io-bytes-per-second': `${config.ONCEBOX_IO_BYTES_PER_SECOND}`,
    'ready-ms': `${config.ONCEBOX_READY_MS}`,
  };
  return {
    ...wiring,
    name: 'launcher',
    hasIpc: false,
    command: () => ({
      file: join(nativeBuild, 'oncebox-launcher'),
      args: Object.entries(options).flatMap(([name, value]) => [`--${name}`, value]),
      env: { PATH: searchPath },
    }),
    ready: (child) => new Promise((resolve) => child.stdout?.once('data', () => resolve())),
    pulse: whileStopped,
    stopTimeoutMs: 10_000,
  };
}

/** Takes jobs once its pools are full; says `{type: 'ready'}` over IPC then. */
export function workerChild(environment: NodeJS.ProcessEnv, wiring: Wiring<void>): ChildSpec<void> {
  return {
    ...serviceChild('worker', environment),
    ...wiring,
    ready: async (child) => void (await message(child, 'ready')),
  };
}

/** Says `{type: 'listening', port}` over IPC; `ready` resolves with the port. */
export function gatewayChild(environment: NodeJS.ProcessEnv, wiring: Wiring<number>): ChildSpec<number> {
  return {
    ...serviceChild('gateway', environment),
    ...wiring,
    async ready(child) {
      const { port } = await message(child, 'listening');
      return Number(port);
    },
  };
}

function serviceChild(name: 'gateway' | 'worker', environment: NodeJS.ProcessEnv) {
  return {
    name,
    hasIpc: true,
    command: () => ({
      file: process.execPath,
      args: ['--enable-source-maps', join(root, 'build', `${name}.mjs`)],
      env: environment,
    }),
    async pulse(child: ChildProcess) {
      const answer = message(child, 'pulse');
      child.send({ type: 'pulse' });
      await answer;
    },
    // More than a service allows itself, so that its own orderly end comes first.
    stopTimeoutMs: 20_000,
  };
}

function message(child: ChildProcess, type: string): Promise<Record<string, unknown>> {
  return new Promise((resolve) => {
    child.on('message', function hear(received) {
      const fields = typeof received === 'object' && received !== null ? { ...received } : {};
      if (!('type' in fields) || fields.type !== type) return;
      child.off('message', hear);
      resolve(fields);
    });
  });
}

/** Resolves when the process is not stopped by a signal: proc(5), the state in /proc/[pid]/stat. Rejects when it is gone. */
async function whileStopped({ pid }: ChildProcess): Promise<void> {
  for (;;) {
    const stat = await readFile(`/proc/${pid}/stat`, 'utf8');
    if (stat[stat.lastIndexOf(')') + 2] !== 'T') return;
    await delay(500);
  }
}

/** The settings as environment variables again: what the configuration was parsed from, or a test has changed. */
export function environmentOf(config: Config): NodeJS.ProcessEnv {
  const settings = Object.entries(config).filter(([name]) => name.startsWith('ONCEBOX_'));
  const texts = settings.map(([name, value]) => [
    name,
    typeof value === 'object' ? pairs(value) : String(value),
  ]);
  return { PATH: searchPath, ...Object.fromEntries(texts) };
}

function pairs(values: object): string {
  return Object.entries(values)
    .map(([name, value]) => `${name}=${value}`)
    .join(',');
}
