import { readdir, readFile, readlink, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { HostProcesses } from '../doctor/leaks/host-processes.ts';
import type { Config } from '../shared/config.ts';

/** Services that lose their supervisor end by themselves in two seconds, unless they hang or the machine does. */
const patienceMs = 5_000;

/**
 * Ends what a supervisor of this data directory that was killed has left running, and resolves when it is gone: a worker
 * of it would still take invocations, its gateway has our port, and two of Redis would write to one file. To be called by
 * who holds the instance's lock: then nobody answers for them. Sandboxes end with their launcher, and the next one sweeps
 * what is in their cgroups.
 */
export async function endPredecessor(config: Config): Promise<void> {
  let left = await predecessors(config);
  // Redis has its file to finish, and the launcher takes cgroups away.
  for (const pid of left) signal(pid, 'SIGTERM');
  for (const until = performance.now() + patienceMs; left.length > 0; await delay(50)) {
    left = await predecessors(config);
    if (performance.now() > until) for (const pid of left) signal(pid, 'SIGKILL');
    if (performance.now() > until + patienceMs)
      throw new Error(
        `cannot start on ${config.ONCEBOX_DATA_DIR}: process ${left[0]} of an oncebox before us does not end`,
      );
  }
}

/** Redis does not look for what it was writing when it was killed. To be called while none of ours runs. */
export async function removeRedisLeftovers({ redisDir }: Config): Promise<void> {
  const names = (await readdir(redisDir)).filter((name) => /^temp-.*\.(aof|rdb)$/.test(name));
  for (const name of names) await rm(join(redisDir, name));
}

async function predecessors(config: Config): Promise<number[]> {
  const host = new HostProcesses();
  const found: number[] = [];
  for (const { pid, state, program, args } of host.all.values()) {
    if (state === 'Z') continue;
    const isOurs =
      host.launchers.get(pid)?.instance === config.instance ||
      (isRedisServer(program) && args.some((word) => word.endsWith(join(config.runDir, 'redis.sock')))) ||
      (args.some((word) => /\/build\/(gateway|worker)\.mjs$/.test(word)) &&
        (await wasStartedFor(pid, config)));
    // A container may have a data directory with the same path.
    if (isOurs && (await isOnThisMachine(pid))) found.push(pid);
  }
  return found;
}

/**
 * By its program's file: Debian's redis-server is a link to redis-check-rdb, which is the same file. Not redis-cli, with
 * which somebody looks at what is there.
 */
export function isRedisServer(program: string): boolean {
  return /^redis-(server$|check-)/.test(program);
}

/** Whether a service has been started by a supervisor, with this data directory. */
async function wasStartedFor(pid: number, { ONCEBOX_DATA_DIR }: Config): Promise<boolean> {
  const environment = await readFile(`/proc/${pid}/environ`, 'utf8').catch(() => '');
  const variables = environment.split('\0');
  return (
    variables.includes(`ONCEBOX_DATA_DIR=${ONCEBOX_DATA_DIR}`) &&
    variables.some((variable) => variable.startsWith('NODE_CHANNEL_FD='))
  );
}

async function isOnThisMachine(pid: number): Promise<boolean> {
  const namespaces = ['pid', 'net'].map(async (kind) => {
    const [theirs, ours] = await Promise.all(
      [pid, 'self'].map((who) => readlink(`/proc/${who}/ns/${kind}`).catch(() => undefined)),
    );
    return theirs !== undefined && theirs === ours;
  });
  return (await Promise.all(namespaces)).every(Boolean);
}

function signal(pid: number, name: NodeJS.Signals): void {
  try {
    process.kill(pid, name);
  } catch {
    // It has ended.
  }
}
