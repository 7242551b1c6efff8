import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmod, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, beforeEach } from 'vitest';
import { connectRedis, type Redis } from '../../services/shared/redis.ts';

export interface TestRedis {
  /** `unix://…`, as ONCEBOX_REDIS_URL takes it. */
  readonly url: string;
  /** A connection for commands; closed when the file's tests are over. */
  readonly redis: Redis;
  /** Another connection, closed likewise. */
  connect(): Redis;
}

/**
 * A redis-server of the test file's own on a Unix socket, empty before each test and gone afterwards. `forServices`: ordinary
 * users may connect too, and nothing is emptied, as a platform runs on it for all the tests.
 */
export function useRedis({ forServices = false }: { forServices?: boolean } = {}): TestRedis {
  const connections: Redis[] = [];
  let directory: string;
  let server: ChildProcess;
  let url: string;

  function connect(): Redis {
    const redis = connectRedis(url);
    connections.push(redis);
    return redis;
  }

  beforeAll(async () => {
    directory = await mkdtemp(join(tmpdir(), 'oncebox-test-redis-'));
    if (forServices) await chmod(directory, 0o755);
    const socket = join(directory, 'redis.sock');
    url = `unix://${socket}`;
    server = spawn(
      'redis-server',
      [
        ...['--port', '0', '--unixsocket', socket, '--save', '', '--dir', directory],
        ...(forServices ? ['--unixsocketperm', '777'] : []),
      ],
      {
        stdio: ['ignore', 'pipe', 'inherit'],
      },
    );
    await said(server, 'accept connections');
    connect();
  });
  beforeEach(async () => {
    if (!forServices) await connections[0]?.flushall();
  });
  afterAll(async () => {
    for (const redis of connections) redis.disconnect();
    const exited = once(server, 'exit');
    server.kill();
    await exited;
    await rm(directory, { recursive: true });
  });

  return {
    get url() {
      return url;
    },
    get redis() {
      const redis = connections[0];
      if (!redis) throw new Error('useRedis: not started yet');
      return redis;
    },
    connect,
  };
}

async function said(server: ChildProcess, words: string): Promise<void> {
  let output = '';
  await new Promise<void>((resolve, reject) => {
    server.stdout?.on('data', (chunk: Buffer) => {
      output += chunk;
      if (output.includes(words)) resolve();
    });
    server.once('error', reject);
    server.once('exit', (code) => reject(new Error(`redis-server exited with ${code}: ${output}`)));
  });
  server.stdout?.resume();
}
