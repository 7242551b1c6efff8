import { lstat, readdir, readFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import type { HostProcesses } from './host-processes.ts';
import type { Leak } from './leak.ts';

const youngMs = 600_000;

/** What operations that were cut off have left in a store: whoever makes something there writes his pid into its name. */
export async function abandonedInStore(host: HostProcesses, storeDir: string): Promise<Leak[]> {
  const temporary = /\.(\d+)-[a-f0-9-]+\.tmp$/;
  const scratch = join(storeDir, 'scratch');
  const oci = join(storeDir, 'oci');
  const found = await Promise.all([
    ofTheDead(host, scratch, /^(\d+)-/),
    ...[oci, join(oci, 'blobs/sha256'), join(storeDir, 'layer-info')].map((dir) =>
      ofTheDead(host, dir, temporary),
    ),
    unlockedLayers(join(storeDir, 'layers')),
  ]);
  return found.flat();
}

/** Likewise in a data directory: sockets that nobody listens on, and Redis' half-written files. */
export async function abandonedInDataDir(host: HostProcesses, dataDir: string): Promise<Leak[]> {
  const redis = ofTheDead(
    host,
    join(dataDir, 'redis'),
    /^temp-(?:rewriteaof-|rewriteaof-bg-)?(\d+)\.(?:aof|rdb)$/,
  );
  const listening = await readFile('/proc/net/unix', 'utf8');
  const runDir = join(dataDir, 'run');
  const stale: Leak[] = [];
  for (const name of await namesIn(runDir)) {
    const path = join(runDir, name);
    const isSocket = (await lstat(path).catch(() => undefined))?.isSocket() ?? false;
    if (!isSocket || listening.includes(` ${path}\n`)) continue;
    stale.push({
      kind: 'stale socket',
      key: `file ${path}`,
      what: `${path}, on which nobody listens`,
      remedy: `the instance replaces it when it starts; or rm ${path}`,
      path,
    });
  }
  return [...stale, ...(await redis)];
}

/** Platforms that load tests and attacks start for themselves take their directories away, unless they are killed. */
export async function abandonedPlatforms(host: HostProcesses, storeDirs: readonly string[]): Promise<Leak[]> {
  const leaks: Leak[] = [];
  for (const place of new Set([tmpdir(), ...storeDirs.map((dir) => dirname(dir))])) {
    for (const name of await namesIn(place)) {
      if (!/^\.?oncebox-(attacks|loadtest)-\w+$/.test(name)) continue;
      const path = join(place, name);
      const stats = await lstat(path).catch(() => undefined);
      // One that has just been made has no launcher yet.
      if (!stats || Date.now() - stats.mtimeMs < youngMs) continue;
      const isUsed = [...host.launchers.values()].some(({ runDir, layersDir }) =>
        [runDir, layersDir].some((used) => used.startsWith(`${path}/`)),
      );
      if (isUsed) continue;
      leaks.push({
        kind: 'abandoned platform',
        key: `file ${path}`,
        what: `${path}, of a load test or attacks that were killed`,
        remedy: `rm -r ${path}`,
        instance: name,
        path,
      });
    }
  }
  return leaks;
}

async function ofTheDead(host: HostProcesses, dir: string, pattern: RegExp): Promise<Leak[]> {
  const leaks: Leak[] = [];
  for (const name of await namesIn(dir)) {
    const pid = pattern.exec(name)?.[1];
    if (pid === undefined || host.all.has(Number(pid))) continue;
    const path = join(dir, name);
    leaks.push({
      kind: 'temporary file',
      key: `file ${path}`,
      what: `${path}, whose maker (process ${pid}) has ended`,
      remedy: `the worker removes it when it starts; or rm -r ${path}`,
      path,
    });
  }
  return leaks;
}

/** Their launchers hold a lock (flock) on each that is under way. */
async function unlockedLayers(layersDir: string): Promise<Leak[]> {
  const names = (await namesIn(layersDir)).filter((name) => /^\.unpacking-[0-9a-f]{32}$/.test(name));
  if (names.length === 0) return [];
  // The device is that of the file system's own, which stat does not tell on all of them; inodes are enough.
  const locks = new Set((await readFile('/proc/locks', 'utf8')).match(/(?<=FLOCK .*:)\d+(?= 0 EOF)/g));
  const leaks: Leak[] = [];
  for (const name of names) {
    const path = join(layersDir, name);
    const stats = await lstat(path).catch(() => undefined);
    if (!stats || locks.has(`${stats.ino}`)) continue;
    leaks.push({
      kind: 'half-unpacked layer',
      key: `file ${path}`,
      what: `${path}: the directory of a layer or a build that nobody works on`,
      remedy: 'a launcher with this store removes it when it starts',
      path,
    });
  }
  return leaks;
}

const namesIn = (dir: string) => readdir(dir).catch(() => []);
