import { afterAll, beforeAll, expect, vi } from 'vitest';
import { type Client, createClient } from '../../sdk/client.ts';
import type { Invocation } from '../../sdk/contract/invocation.ts';
import type { RunRequest } from '../../sdk/contract/run-request.ts';
import { isAlive } from './kinds/kill-part.ts';
import { orphansOfRunning, orphansOfStopped } from './orphans.ts';
import { type FaultyPlatform, type FaultyPlatformOptions, startFaultyPlatform } from './platform.ts';

/** A net for what hangs: a part that is killed is started again, on a machine that is busy with much else. */
export const netMs = 120_000;

type Part = 'gateway' | 'worker' | 'launcher' | 'redis';

export interface PlatformUnderTest {
  readonly platform: FaultyPlatform;
  readonly client: Client;
  /** Starts a program, one that goes on until it is seen to, and resolves with its id as soon as it runs. */
  start(request: RunRequest): Promise<string>;
  /** The record, once it is finished. */
  finished(id: string): Promise<Invocation>;
  pidOf(part: Part): number;
  kill(part: Part): void;
  /** Resolves when a program has run that was started after the call. */
  serves(): Promise<void>;
}

/** A platform for the tests of a file. When they are over it must have nothing that nobody answers for, and leave nothing. */
export function useFaultyPlatform(options: FaultyPlatformOptions = {}): PlatformUnderTest {
  let platform: FaultyPlatform;
  let client: Client;

  beforeAll(async () => {
    platform = await startFaultyPlatform(options);
    // What is refused is the matter here, and not what comes of trying again.
    client = createClient(platform.url, { retries: 0 });
  });

  afterAll(async () => {
    if (!platform) return;
    try {
      await vi.waitFor(
        async () => expect(await orphansOfRunning(platform.config, platform.pids().launcher)).toEqual([]),
        { timeout: netMs, interval: 200 },
      );
      await platform.stop();
      expect(await orphansOfStopped(platform.config)).toEqual([]);
    } finally {
      await platform.remove();
    }
  });

  function pidOf(part: Part): number {
    const pid = platform.pids()[part];
    if (pid === undefined || !isAlive(pid)) throw new Error(`there is no ${part}`);
    return pid;
  }

  return {
    get platform() {
      return platform;
    },
    get client() {
      return client;
    },
    async start(request) {
      const { id } = await client.runAsync(request);
      await vi.waitFor(
        async () => {
          const { sandboxes } = await client.sandboxes();
          expect(sandboxes.map(({ invocationId }) => invocationId)).toContain(id);
        },
        { timeout: netMs, interval: 50 },
      );
      return id;
    },
    finished: (id) =>
      vi.waitFor(
        async () => {
          const record = await client.invocation(id);
          expect(['done', 'failed'], `the status of ${id}`).toContain(record.status);
          return record;
        },
        { timeout: netMs, interval: 50 },
      ),
    pidOf,
    kill: (part) => void process.kill(pidOf(part), 'SIGKILL'),
    async serves() {
      await vi.waitFor(
        async () => {
          const { outcome } = await client.run({ runtime: 'node', code: 'console.log(1)' });
          expect(outcome).toEqual({ status: 'ok' });
        },
        { timeout: netMs, interval: 50 },
      );
    },
  };
}
