import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { buildProbe, MiB, probe } from './cgroup-probe.ts';

let directory: string;

beforeAll(buildProbe);

beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'oncebox-cgroup-'));
});

afterEach(() => rm(directory, { recursive: true, force: true }));

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
      cpu: ['cpu.cfs_quota_us', 'cpu.stat'],
      cpuacct: ['cpuacct.usage', 'cpuacct.usage_all'],
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

  it('of a zone: where the kernel has no swap it is made, and where swapping cannot be refused it is not', async (context) => {
    if (process.getuid?.() !== 0 && process.env.ONCEBOX_MUST_WORK !== '1')
      context.skip('only root can give files away');
    for (const controller of ['cpu', 'cpuacct', 'memory', 'pids']) {
      for (const leaf of ['agent', 'zygote']) await mkdir(join(directory, controller, zone, leaf));
      for (const file of ['cgroup.procs', 'agent/cpu.shares', 'zygote/cgroup.procs', 'zygote/pids.max'])
        await writeFile(join(directory, controller, zone, file), '');
    }
    await probe(mountinfo, 'zone-open', 'test', 1);
    await mkdir(join(directory, 'memory', zone, 'memory.swappiness')); // a file that cannot be written
    await expect(probe(mountinfo, 'zone-open', 'test', 1)).rejects.toThrow(
      'cannot open the zone: Is a directory',
    );
  });

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
    await write('cpuacct', 'cpuacct.usage_all', 'cpu user system\n0 4000000 1000000\n1 2000000 1000000\n');
    await write('cpu', 'cpu.stat', 'nr_periods 3\nnr_throttled 2\nthrottled_time 70123456\n');
    await write('pids', 'pids.peak', '9\n');
    await write('memory', 'memory.usage_in_bytes', '4096\n');
    await write('memory', 'memory.max_usage_in_bytes', '9000000000\n');
    await write('memory', 'memory.oom_control', 'oom_kill_disable 0\nunder_oom 0\noom_kill 3\n');
    await write('pids', 'pids.events', 'max 12\n');
    expect(JSON.parse(await probe(mountinfo, 'usage', zone, 7))).toEqual({
      cpuUsec: 12345,
      // Ticks saw three quarters of it in programs.
      cpuUserUsec: 12345 - 3086,
      cpuSystemUsec: 3086,
      throttledUsec: 70123,
      pidsPeak: 9,
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
    await write(
      'cpu.stat',
      'usage_usec 54321\nuser_usec 50000\nsystem_usec 4321\nnr_periods 2\nnr_throttled 1\nthrottled_usec 777\n',
    );
    await write('pids.peak', '5\n');
    for (const [index, name] of ['cpu', 'memory', 'io'].entries()) {
      const some = `some avg10=0.00 avg60=1.00 avg300=0.00 total=${index + 41}\n`;
      await write(`${name}.pressure`, `${some}full avg10=0.00 avg60=0.00 avg300=0.00 total=3\n`);
    }
    await write('memory.current', '8192\n');
    await write('memory.peak', '9000000000\n');
    await write('memory.events', 'low 0\nhigh 0\nmax 7\noom 2\noom_kill 1\noom_group_kill 1\n');
    await write('pids.events', 'max 4\n');
    expect(JSON.parse(await probe(mountinfo, 'usage', zone, 7))).toEqual({
      cpuUsec: 54321,
      cpuUserUsec: 50000,
      cpuSystemUsec: 4321,
      throttledUsec: 777,
      pidsPeak: 5,
      pressureUsec: [41, 42, 43],
      memoryBytes: 8192,
      memoryPeakBytes: 9_000_000_000,
      oomKills: 1,
      pidsRefused: 4,
    });
  });

  it('of a kernel without pids.peak and PSI leave both unsaid, and a run that nothing kept waiting is told so', async () => {
    await write('cpu.stat', 'usage_usec 3\nuser_usec 2\nsystem_usec 1\n');
    const usage = JSON.parse(await probe(mountinfo, 'usage', zone, 7));
    expect(usage).toMatchObject({ cpuUsec: 3, throttledUsec: 0 });
    expect(usage).not.toHaveProperty('pidsPeak');
    expect(usage).not.toHaveProperty('pressureUsec');
  });

  it('are counted as zero when they are not there', async () => {
    expect(JSON.parse(await probe(mountinfo, 'usage', zone, 7))).toEqual({
      cpuUsec: 0,
      cpuUserUsec: 0,
      cpuSystemUsec: 0,
      throttledUsec: 0,
      memoryBytes: 0,
      memoryPeakBytes: 0,
      oomKills: 0,
      pidsRefused: 0,
    });
  });
});
