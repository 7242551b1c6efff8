import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';

/** What the kernel has charged to all sandboxes and zones of a launcher, bytes. */
export interface ChargedMemory {
  /** Everything: processes, page cache, writable layers, the kernel's own. */
  usedBytes: number;
  /**
   * Page cache of files on disk. A page is charged to who touched it first, and to nobody else; a second copy of the
   * file has pages of its own. Writable layers are tmpfs and not in here.
   */
  fileBytes: number;
}

/** Reads the account of `oncebox/<instance>`, on cgroup v1 or v2. */
async function chargedMemory(instance: string): Promise<ChargedMemory> {
  const { mount, version } = await memoryHierarchy();
  const read = (name: string) => readFile(join(mount, 'oncebox', instance, name), 'utf8');
  const stat = new Map(
    (await read('memory.stat')).split('\n').map((line) => line.split(' ') as [string, string]),
  );
  const value = (name: string) => Number(stat.get(name) ?? 0);
  // Not the LRU lists' counts: what was read a moment ago waits in each CPU's batch, which holds many megabytes where
  // the file system has large folios. Shared memory, which writable layers are, counts as cache too.
  return version === 1
    ? {
        usedBytes: Number(await read('memory.usage_in_bytes')),
        fileBytes: value('total_cache') - value('total_shmem'),
      }
    : { usedBytes: Number(await read('memory.current')), fileBytes: value('file') - value('shmem') };
}

/**
 * The account once it shows the page cache that was read for certain, or as it is after six seconds: the kernel adds its
 * CPUs' counts up every two seconds only (FLUSH_TIME in mm/memcontrol.c).
 */
export async function settledMemory(instance: string, readBytes: number): Promise<ChargedMemory> {
  for (const deadline = performance.now() + 6_000; ; ) {
    const charged = await chargedMemory(instance);
    if (charged.fileBytes >= readBytes || performance.now() > deadline) return charged;
    await delay(100);
  }
}

/** proc_pid_mountinfo(5). On a hybrid host the memory controller is on v1. */
async function memoryHierarchy(): Promise<{ mount: string; version: 1 | 2 }> {
  const mounts = (await readFile('/proc/self/mountinfo', 'utf8')).split('\n');
  const mountOf = (line: string | undefined) => line?.split(' ')[4];
  const v1 = mountOf(mounts.find((line) => / - cgroup .*\bmemory\b/.test(line)));
  if (v1 !== undefined) return { mount: v1, version: 1 };
  const v2 = mountOf(mounts.find((line) => / - cgroup2 /.test(line)));
  if (v2 !== undefined) return { mount: v2, version: 2 };
  throw new Error('cannot measure memory: no cgroup hierarchy with the memory controller');
}

/** What the kernel could give to new processes, bytes: page cache counts as available. */
export async function availableBytes(): Promise<number> {
  const line = /^MemAvailable:\s+(\d+) kB$/m.exec(await readFile('/proc/meminfo', 'utf8'));
  return Number(line?.[1]) * 1024;
}
