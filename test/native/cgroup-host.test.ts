import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { ownIdBase } from '../../runtime/image/ids.ts';
import { buildProbe, MiB, probe, program, run } from './cgroup-probe.ts';

beforeAll(buildProbe);

describe("the host's own cgroups", () => {
  const mountinfo = '/proc/self/mountinfo';
  const instance = `test-${process.pid}`;
  const zone = `oncebox/${instance}/zone1`;
  let layout: { version: number; mounts: string[]; cpu: number; memory: number; pids: number };

  beforeEach(async (context) => {
    if (process.getuid?.() !== 0 && process.env.ONCEBOX_MUST_WORK !== '1') {
      context.skip('only root can make cgroups');
    }
    layout = JSON.parse(await probe(mountinfo, 'detect'));
    await probe(mountinfo, 'zone-open', instance, 1);
  });

  afterEach(async () => {
    if (layout !== undefined) await probe(mountinfo, 'sweep', instance);
  });

  /** `file` of sandbox 5 in the hierarchy of a controller. */
  const value = async (controller: 'cpu' | 'memory' | 'pids', file: string) => {
    const mount = layout.mounts[layout.version === 2 ? 0 : layout[controller]] as string;
    return (await readFile(join(mount, zone, 's5', file), 'utf8')).trim();
  };

  const below = async (path: string) => {
    const lists = await Promise.all(layout.mounts.map((mount) => readdir(join(mount, path)).catch(() => [])));
    return lists.flat();
  };

  /** A process in sandbox 5 that has said that it is there, and allocates nothing more. */
  async function startMember(script = 'echo in; exec sleep 1000') {
    const args = [mountinfo, 'enter', zone, '5', 'sh', '-c', script];
    const member = spawn(program, args, { stdio: ['ignore', 'pipe', 'inherit'] });
    const ended = once(member, 'close');
    await once(member.stdout, 'data');
    return { member, ended };
  }

  it('take the caps of a sandbox', async () => {
    await probe(mountinfo, 'make', zone, 5);
    await probe(mountinfo, 'limit', zone, 5, 64 * MiB, 25, 500);
    expect(await value('pids', 'pids.max')).toBe('25');
    if (layout.version === 2) {
      expect(await value('memory', 'memory.max')).toBe(String(64 * MiB));
      expect(await value('cpu', 'cpu.max')).toBe('50000 100000');
    } else {
      expect(await value('memory', 'memory.limit_in_bytes')).toBe(String(64 * MiB));
      expect(await value('cpu', 'cpu.cfs_quota_us')).toBe('50000');
    }
    await probe(mountinfo, 'remove', zone, 5);
  });

  it('never swap, whatever the host does', async () => {
    await probe(mountinfo, 'make', zone, 5);
    if (layout.version === 1) {
      for (const part of ['', '../', '../agent/', '../zygote/'])
        expect(await value('memory', `${part}memory.swappiness`)).toBe('0');
      return;
    }
    // What is above counts for all below; absent where the kernel has no swap.
    const mount = layout.mounts[0] as string;
    const max = await readFile(join(mount, zone, 'memory.swap.max'), 'utf8').catch(() => '0');
    expect(max.trim()).toBe('0');
  });

  it('are left to the administrator of the zone, but for what bounds the zone and its zygote', async () => {
    const mount = layout.mounts[layout.version === 2 ? 0 : layout.memory] as string;
    const owner = async (file: string) =>
      (await run('stat', ['-c', '%u', join(mount, zone, file)])).stdout.trim();
    const administrator = String(ownIdBase);
    expect(await owner('.')).toBe(administrator);
    expect(await owner('cgroup.procs')).toBe(administrator);
    expect(await owner('zygote/cgroup.procs')).toBe(administrator);
    const cap = layout.version === 2 ? 'memory.max' : 'memory.limit_in_bytes';
    expect(await owner(cap)).toBe('0');
    expect(await owner('zygote')).toBe('0');
    expect(await owner(`zygote/${cap}`)).toBe('0');
  });

  it('account what a process in a sandbox uses', async () => {
    await probe(mountinfo, 'make', zone, 5);
    await run(program, [mountinfo, 'enter', zone, '5', 'sh', '-c', 'x=$(head -c 4M /dev/zero | tr "\\0" x)']);
    const usage = JSON.parse(await probe(mountinfo, 'usage', zone, 5));
    expect(usage.cpuUsec).toBeGreaterThan(0);
    expect(usage.memoryPeakBytes).toBeGreaterThan(4 * MiB);
    expect(usage).toMatchObject({ oomKills: 0, pidsRefused: 0 });
  });

  it('count an OOM kill', async () => {
    await probe(mountinfo, 'make', zone, 5);
    await probe(mountinfo, 'limit', zone, 5, 16 * MiB, 25, 1000);
    const hungry = run(program, [
      mountinfo,
      'enter',
      zone,
      '5',
      'sh',
      '-c',
      'x=$(head -c 64M /dev/zero | tr "\\0" x)',
    ]);
    await expect(hungry).rejects.toThrow();
    expect(JSON.parse(await probe(mountinfo, 'usage', zone, 5)).oomKills).toBeGreaterThan(0);
  });

  it('count a refused fork', async () => {
    await probe(mountinfo, 'make', zone, 5);
    await probe(mountinfo, 'limit', zone, 5, 64 * MiB, 2, 1000);
    const forks = run(program, [
      mountinfo,
      'enter',
      zone,
      '5',
      'sh',
      '-c',
      'sleep 1000 >/dev/null 2>&1 & sleep 1000 >/dev/null 2>&1 & sleep 0',
    ]);
    await expect(forks).rejects.toThrow(/fork/i);
    expect(JSON.parse(await probe(mountinfo, 'usage', zone, 5)).pidsRefused).toBeGreaterThan(0);
  });

  it('cannot be removed while a process is in them, and can be as soon as it is gone', async () => {
    await probe(mountinfo, 'make', zone, 5);
    const { member, ended } = await startMember();
    await expect(probe(mountinfo, 'remove', zone, 5)).rejects.toThrow(/busy/i);
    member.kill('SIGKILL');
    await ended;
    await probe(mountinfo, 'remove', zone, 5);
    expect(await below(zone)).not.toContain('s5');
  });

  it('go with a swept instance, and so do the processes in them', async () => {
    await probe(mountinfo, 'make', zone, 5);
    const { ended } = await startMember();
    await probe(mountinfo, 'sweep', instance);
    const [code, signal] = await ended;
    expect([code, signal]).toEqual([null, 'SIGKILL']);
    expect(await below(`oncebox/${instance}`)).toEqual([]);
    expect(await below('oncebox')).not.toContain(instance);
  });

  it('go with all that is in them, be it ever so many processes', async () => {
    await probe(mountinfo, 'make', zone, 5);
    const { ended } = await startMember('for i in $(seq 200); do sleep 1000 & done; echo in; wait');
    await probe(mountinfo, 'sweep', instance);
    await ended; // none of them holds its stdout any more
    expect(await below('oncebox')).not.toContain(instance);
  });

  it('of a zone are said to be busy while a process is in them, which is ended', async () => {
    await probe(mountinfo, 'make', zone, 5);
    const { ended } = await startMember();
    await expect(probe(mountinfo, 'zone-remove', instance, 1)).rejects.toThrow(/busy/i);
    await ended;
    await probe(mountinfo, 'zone-remove', instance, 1);
    expect(await below(`oncebox/${instance}`)).not.toContain('zone1');
  });

  it('of a removed zone go, and those of its neighbour stay', async () => {
    await probe(mountinfo, 'zone-open', instance, 2);
    await probe(mountinfo, 'make', zone, 5);
    await probe(mountinfo, 'zone-remove', instance, 1);
    const names = new Set((await below(`oncebox/${instance}`)).filter((name) => name.startsWith('zone')));
    expect([...names]).toEqual(['zone2']);
  });
});
