import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { auditNode } from '../leaks/audit-node.ts';
import type { Ground } from './ground.ts';
import { Breach } from './verdict.ts';

/** Shared memory that sandboxes which are parked have more than at the beginning, bytes. */
const shmemSlackBytes = 96 * 1024 * 1024;

/** What an attack may not change. */
interface Fixed {
  parts: Record<string, number | undefined>;
  mounts: number;
  shmemBytes: number;
}

/** What there is of sandboxes, counted where it is: on the host, and by the platform itself. */
interface Counted {
  /** As the platform lists them. */
  listed: number;
  running: number;
  /** Cgroup directories of sandboxes. */
  cgroups: number;
  /** In those: each parked sandbox has its one child, and its init is the agent's. */
  processes: number;
}

/** Tells after each attack whether anything of it is left. */
export class Cleanliness {
  readonly #ground: Ground;
  readonly #before: Fixed;

  private constructor(ground: Ground, before: Fixed) {
    this.#ground = ground;
    this.#before = before;
  }

  static async begin(ground: Ground): Promise<Cleanliness> {
    return new Cleanliness(ground, await fixed(ground));
  }

  /** Rejects with a `Breach` that says what is left: on the host, or in the next invocation. */
  async check(): Promise<void> {
    await this.#nextInvocationIsClean();
    // A function whose forks hang is tried again as long as its pool lives, a minute; what is being tried is not listed yet.
    const deadline = performance.now() + this.#ground.ms(180_000);
    for (;;) {
      const left = await this.#left();
      if (left === undefined) break;
      if (performance.now() > deadline) throw new Breach(`the host still holds ${left}`);
      await delay(this.#ground.ms(50), undefined, { signal: this.#ground.signal });
    }
    const { instance } = this.#ground.platform.config;
    const { leaks } = await auditNode({
      instance,
      // What has not gone by then stays; where there is nothing, nothing is waited for.
      settleMs: this.#ground.ms(30_000),
      signal: this.#ground.signal,
    });
    // Others' on this machine are not ours to judge.
    const own = leaks.filter((leak) => leak.instance === instance);
    if (own.length > 0) throw new Breach(`left over: ${own.map(({ what }) => what).join(', ')}`);
  }

  async #nextInvocationIsClean(): Promise<void> {
    const { outcome, stdout } = await this.#ground.program('what-is-here.sh');
    if (outcome?.status === 'ok' && stdout === 'main.sh\nprocesses 1\nclean\n') return;
    throw new Breach(`the next invocation is not clean: ${JSON.stringify({ outcome, stdout })}`);
  }

  async #left(): Promise<string | undefined> {
    const [now, counted] = [await fixed(this.#ground), await count(this.#ground)];
    const { parts, mounts, shmemBytes } = this.#before;
    for (const [name, pid] of Object.entries(parts)) {
      if (now.parts[name] !== pid) throw new Breach(`${name} has been started again: something ended it`);
    }
    if (now.mounts > mounts) return `${now.mounts - mounts} mounts`;
    if (counted.running > 0) return `${counted.running} sandboxes that run`;
    if (counted.cgroups !== counted.listed)
      return `${counted.cgroups} cgroups of ${counted.listed} sandboxes`;
    if (counted.processes !== counted.listed)
      return `${counted.processes} processes in ${counted.listed} sandboxes`;
    const shmem = now.shmemBytes - shmemBytes;
    if (shmem > shmemSlackBytes) return `${shmem} bytes of shared memory`;
    return undefined;
  }
}

async function fixed({ platform }: Ground): Promise<Fixed> {
  // Others mount on this machine too: ours are those of the launcher, and what names our directories.
  const { ONCEBOX_DATA_DIR, storeDir } = platform.config;
  const tables = ['self', `${platform.pids().launcher}`].map((pid) =>
    readFile(`/proc/${pid}/mountinfo`, 'utf8'),
  );
  const lines = (await Promise.all(tables)).join('').split('\n');
  const ours = lines.filter((line) =>
    [ONCEBOX_DATA_DIR, storeDir, 'userxattr'].some((word) => line.includes(word)),
  );
  return {
    parts: platform.pids(),
    mounts: ours.length,
    shmemBytes: await shmemOf(platform.config.instance),
  };
}

/** All that the platform's sandboxes have, those included that are gone and have left some: tmpfs, memfd, System V. */
async function shmemOf(instance: string): Promise<number> {
  for (const hierarchy of ['memory', '']) {
    const path = join('/sys/fs/cgroup', hierarchy, 'oncebox', instance, 'memory.stat');
    const accounts = await readFile(path, 'utf8').catch(() => undefined);
    // On v1 what is below is in the totals only; v2 has one line for all.
    const found = /^total_shmem (\d+)$/m.exec(accounts ?? '') ?? /^shmem (\d+)$/m.exec(accounts ?? '');
    if (found) return Number(found[1]);
  }
  throw new Error(`cannot tell the shared memory of ${instance}: its cgroup says nothing of it`);
}

async function count({ platform, client }: Ground): Promise<Counted> {
  const { sandboxes } = await client.sandboxes();
  const directories = await sandboxCgroups(platform.config.instance);
  const members = await Promise.all(
    directories.map((path) => readFile(join(path, 'cgroup.procs'), 'utf8').catch(() => '')),
  );
  return {
    listed: sandboxes.length,
    running: sandboxes.filter(({ invocationId }) => invocationId !== undefined).length,
    cgroups: directories.length,
    processes: members.join('').split('\n').length - 1,
  };
}

/** In the hierarchy of the memory accounts, v1 or v2. */
export async function sandboxCgroups(instance: string): Promise<string[]> {
  for (const hierarchy of ['memory', '']) {
    const root = join('/sys/fs/cgroup', hierarchy, 'oncebox', instance);
    const zones = await readdir(root).catch(() => undefined);
    if (zones === undefined) continue;
    const found = zones
      .filter((zone) => zone.startsWith('zone'))
      .map(async (zone) => {
        const names = await readdir(join(root, zone)).catch(() => []);
        return names.filter((name) => /^s\d+$/.test(name)).map((name) => join(root, zone, name));
      });
    return (await Promise.all(found)).flat();
  }
  return [];
}
