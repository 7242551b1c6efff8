import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';

const run = promisify(execFile);
const native = fileURLToPath(new URL('../../runtime/native', import.meta.url));
const program = join(native, 'build/cgroup-probe');
const MiB = 1024 * 1024;

let directory: string;

beforeAll(async () => {
  await run('make', ['-C', native, 'probe']);
});

beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'oncebox-cgroup-'));
});

afterEach(() => rm(directory, { recursive: true, force: true }));

async function probe(mountinfo: string, ...args: (string | number)[]): Promise<string> {
  return (await run(program, [mountinfo, ...args.map(String)])).stdout;
}

describe('finding the hierarchies in mountinfo', () => {
  const hybrid = `
    23 1 254:0 / / rw,relatime - ext4 /dev/vda rw
    31 23 0:28 / /sys/fs/cgroup rw,relatime - tmpfs tmpfs rw,mode=755
    32 31 0:29 / /sys/fs/cgroup/cpu rw,relatime - cgroup cgroup rw,cpu
    33 31 0:30 / /sys/fs/cgroup/cpuacct rw,relatime - cgroup cgroup rw,cpuacct
    34 31 0:31 / /sys/fs/cgroup/cpuset rw,relatime - cgroup cgroup rw,cpuset
    35 31 0:32 / /sys/fs/cgroup/memory rw,relatime - cgroup cgroup rw,memory
    39 31 0:36 / /sys/fs/cgroup/pids rw,relatime - cgroup cgroup rw,pids
    40 31 0:37 / /sys/fs/cgroup/systemd rw,relatime - cgroup cgroup rw,name=systemd
    41 31 0:38 / /sys/fs/cgroup/unified rw,relatime - cgroup2 cgroup2 rw`;

  async function detect(mountinfo: string): Promise<unknown> {
    const file = join(directory, 'mountinfo');
    await writeFile(file, mountinfo.replace(/^\s+/gm, ''));
    return JSON.parse(await probe(file, 'detect'));
  }

  it('takes v1 on a hybrid host whose controllers are on v1', async () => {
    expect(await detect(hybrid)).toEqual({
      version: 1,
      mounts: ['cpu', 'cpuacct', 'memory', 'pids'].map((name) => `/sys/fs/cgroup/${name}`),
      cpu: 0,
      cpuacct: 1,
      memory: 2,
      pids: 3,
    });
  });

  it('counts cpu and cpuacct on one mount as one hierarchy', async () => {
    const comounted = `
      30 23 0:26 / /sys/fs/cgroup/cpu,cpuacct rw,nosuid shared:9 - cgroup cgroup rw,cpu,cpuacct
      31 23 0:27 / /sys/fs/cgroup/pids rw,nosuid shared:10 - cgroup cgroup rw,pids
      32 23 0:28 / /sys/fs/cgroup/cpuset rw,nosuid shared:11 - cgroup cgroup rw,cpuset
      33 23 0:29 / /sys/fs/cgroup/memory rw,nosuid shared:12 - cgroup cgroup rw,memory`;
    expect(await detect(comounted)).toEqual({
      version: 1,
      mounts: ['cpu,cpuacct', 'pids', 'memory'].map((name) => `/sys/fs/cgroup/${name}`),
      cpu: 0,
      cpuacct: 0,
      memory: 2,
      pids: 1,
    });
  });

  /** A directory in the place of a cgroup2 mount: what it offers is in a file of it, not in mountinfo. */
  async function cgroup2Mount(controllers: string): Promise<string> {
    await writeFile(join(directory, 'cgroup.controllers'), `${controllers}\n`);
    return `26 23 0:23 / ${directory} rw,nosuid shared:4 - cgroup2 cgroup2 rw,nsdelegate,memory_recursiveprot`;
  }

  it('takes v2 where there is nothing else', async () => {
    const pure = await cgroup2Mount('cpuset cpu io memory hugetlb pids rdma misc');
    expect(await detect(pure)).toMatchObject({ version: 2, mounts: [directory] });
  });

  it('takes v2 on a hybrid host whose v1 holds no controller that we need', async () => {
    const noControllers = `
      40 31 0:37 / /sys/fs/cgroup/systemd rw,relatime - cgroup cgroup rw,xattr,name=systemd
      42 31 0:39 / /sys/fs/cgroup/cpuset rw,relatime - cgroup cgroup rw,cpuset
      ${await cgroup2Mount('cpu io memory pids')}`;
    expect(await detect(noControllers)).toMatchObject({ version: 2, mounts: [directory] });
  });

  it('is not misled by names that only contain a controller, nor by lines longer than its buffer', async () => {
    const lowerdirs = `lowerdir=${'/very/long/layer:'.repeat(600)}/last`;
    const misleading = `
      20 23 0:20 / /a/cgroup2 rw,relatime - ext4 /dev/cgroup rw,cpu,memory,pids,cpuacct
      21 23 0:21 / /overlay rw,relatime - overlay overlay rw,${lowerdirs}
      22 23 0:22 / /named rw,relatime - cgroup cgroup rw,name=cpu,memory_migrate,pids2
      ${await cgroup2Mount('cpu memory pids')}`;
    expect(await detect(misleading)).toMatchObject({ version: 2, mounts: [directory] });
  });

  it('refuses v2 without a controller that we need', async () => {
    for (const controllers of ['', 'hugetlb', 'cpuset memory pids', 'cpu io pids', 'cpu memory']) {
      await expect(detect(await cgroup2Mount(controllers))).rejects.toThrow(/cannot detect/);
    }
  });

  it('refuses a host with neither', async () => {
    const withoutPids = hybrid.replace(/^.*(rw,pids|cgroup2).*$/gm, '');
    await expect(detect(withoutPids)).rejects.toThrow(/cannot detect/);
  });
});

describe('v1 files', () => {
  const zone = 'oncebox/test/zone1';
  let mountinfo: string;

  /** Empty files, as many as the driver may write. */
  beforeEach(async () => {
    for (const [controller, files] of Object.entries({
      cpu: ['cpu.cfs_quota_us'],
      cpuacct: ['cpuacct.usage'],
      memory: [
        'memory.limit_in_bytes',
        'memory.usage_in_bytes',
        'memory.max_usage_in_bytes',
        'memory.oom_control',
      ],
      pids: ['pids.max', 'pids.events'],
    })) {
      await mkdir(join(directory, controller, zone, 's7'), { recursive: true });
      for (const file of files) await write(controller, file, '');
    }
    mountinfo = join(directory, 'mountinfo');
    const lines = ['cpu', 'cpuacct', 'memory', 'pids'].map(
      (name, i) => `${30 + i} 23 0:${30 + i} / ${directory}/${name} rw - cgroup cgroup rw,${name}\n`,
    );
    await writeFile(mountinfo, lines.join(''));
  });

  const path = (controller: string, file: string) => join(directory, controller, zone, 's7', file);
  const write = (controller: string, file: string, text: string) => writeFile(path(controller, file), text);
  const read = (controller: string, file: string) => readFile(path(controller, file), 'utf8');

  it('get memory, cpu and pids caps', async () => {
    await probe(mountinfo, 'limit', zone, 7, 64 * MiB, 25, 1500);
    expect(await read('memory', 'memory.limit_in_bytes')).toBe(String(64 * MiB));
    expect(await read('cpu', 'cpu.cfs_quota_us')).toBe('150000');
    expect(await read('pids', 'pids.max')).toBe('25');
  });

  it('never get a cpu quota below the least that the kernel takes', async () => {
    await probe(mountinfo, 'limit', zone, 7, 64 * MiB, 25, 1);
    expect(await read('cpu', 'cpu.cfs_quota_us')).toBe('1000');
  });

  it('give usage, OOM kills and refused forks', async () => {
    await write('cpuacct', 'cpuacct.usage', '12345678\n');
    await write('memory', 'memory.usage_in_bytes', '4096\n');
    await write('memory', 'memory.max_usage_in_bytes', '9000000000\n');
    await write('memory', 'memory.oom_control', 'oom_kill_disable 0\nunder_oom 0\noom_kill 3\n');
    await write('pids', 'pids.events', 'max 12\n');
    expect(JSON.parse(await probe(mountinfo, 'usage', zone, 7))).toEqual({
      cpuUsec: 12345,
      memoryBytes: 4096,
      memoryPeakBytes: 9_000_000_000,
      oomKills: 3,
      pidsRefused: 12,
    });
  });
});

describe('v2 files', () => {
  const zone = 'oncebox/test/zone1';
  let mountinfo: string;

  beforeEach(async () => {
    await mkdir(join(directory, zone, 's7'), { recursive: true });
    for (const file of ['memory.max', 'memory.oom.group', 'cpu.max', 'pids.max']) await write(file, '');
    await writeFile(join(directory, 'cgroup.controllers'), 'cpu memory pids\n');
    mountinfo = join(directory, 'mountinfo');
    await writeFile(mountinfo, `30 23 0:30 / ${directory} rw - cgroup2 cgroup2 rw\n`);
  });

  const path = (file: string) => join(directory, zone, 's7', file);
  const write = (file: string, text: string) => writeFile(path(file), text);
  const read = (file: string) => readFile(path(file), 'utf8');

  it('get memory, cpu and pids caps, and die of an OOM as a whole', async () => {
    await probe(mountinfo, 'limit', zone, 7, 64 * MiB, 25, 1500);
    expect(await read('memory.max')).toBe(String(64 * MiB));
    expect(await read('memory.oom.group')).toBe('1');
    expect(await read('cpu.max')).toBe('150000 100000');
    expect(await read('pids.max')).toBe('25');
  });

  it('that are missing fail the limit, except memory.oom.group', async () => {
    await rm(path('memory.oom.group'));
    await probe(mountinfo, 'limit', zone, 7, 64 * MiB, 25, 1500);
    await rm(path('pids.max'));
    await expect(probe(mountinfo, 'limit', zone, 7, 64 * MiB, 25, 1500)).rejects.toThrow(/No such file/);
  });

  it('give usage, OOM kills and refused forks', async () => {
    await write('cpu.stat', 'usage_usec 54321\nuser_usec 50000\nsystem_usec 4321\nnr_periods 2\n');
    await write('memory.current', '8192\n');
    await write('memory.peak', '9000000000\n');
    await write('memory.events', 'low 0\nhigh 0\nmax 7\noom 2\noom_kill 1\noom_group_kill 1\n');
    await write('pids.events', 'max 4\n');
    expect(JSON.parse(await probe(mountinfo, 'usage', zone, 7))).toEqual({
      cpuUsec: 54321,
      memoryBytes: 8192,
      memoryPeakBytes: 9_000_000_000,
      oomKills: 1,
      pidsRefused: 4,
    });
  });

  it('are counted as zero when they are not there', async () => {
    expect(JSON.parse(await probe(mountinfo, 'usage', zone, 7))).toEqual({
      cpuUsec: 0,
      memoryBytes: 0,
      memoryPeakBytes: 0,
      oomKills: 0,
      pidsRefused: 0,
    });
  });
});

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
  async function startMember() {
    const args = [mountinfo, 'enter', zone, '5', 'sh', '-c', 'echo in; exec sleep 1000'];
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

  it('are left to the root of the zone, but for what bounds the zone itself', async () => {
    const mount = layout.mounts[layout.version === 2 ? 0 : layout.memory] as string;
    const owner = async (file: string) =>
      (await run('stat', ['-c', '%u', join(mount, zone, file)])).stdout.trim();
    expect(await owner('.')).toBe(String(0x7000_0000));
    expect(await owner('cgroup.procs')).toBe(String(0x7000_0000));
    expect(await owner(layout.version === 2 ? 'memory.max' : 'memory.limit_in_bytes')).toBe('0');
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
      'sleep 0 & sleep 0 & sleep 0 & sleep 0',
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

  it('of a removed zone go, and those of its neighbour stay', async () => {
    await probe(mountinfo, 'zone-open', instance, 2);
    await probe(mountinfo, 'make', zone, 5);
    await probe(mountinfo, 'zone-remove', instance, 1);
    const names = new Set((await below(`oncebox/${instance}`)).filter((name) => name.startsWith('zone')));
    expect([...names]).toEqual(['zone2']);
  });
});
