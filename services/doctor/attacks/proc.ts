import { hostname } from 'node:os';
import { fileURLToPath } from 'node:url';
import type { Attack } from './attack.ts';
import { type Ground, saidBy } from './ground.ts';
import { programPath, readProgram } from './programs.ts';
import { must } from './verdict.ts';

const group = 'proc';
const MiB = 1024 * 1024;
const checkout = fileURLToPath(new URL('../../../', import.meta.url)).replace(/\/$/, '');

/** Words of the host and of the platform that no sandbox may find. */
function secretsOf({ platform: { config } }: Ground): string[] {
  const { ONCEBOX_DATA_DIR, storeDir, instance } = config;
  const names = [
    ONCEBOX_DATA_DIR,
    storeDir,
    instance,
    checkout,
    'redis.sock',
    'launcher.sock',
    'ONCEBOX_',
    'oncebox-launcher',
  ];
  // A short host name may be part of any word.
  return hostname().length >= 5 ? [...names, hostname()] : names;
}

const reads: Attack = {
  id: 'proc-read-all',
  group,
  title: 'reading every file under /proc and /sys for host names, host paths and tokens of the platform',
  must: 'none of them is there',
  async attack(ground) {
    for (const user of [undefined, '0']) {
      const ran = await runAs(ground, user, 'read-proc.py', ['65536'], 16 * MiB);
      const { stdout } = ran;
      must(
        stdout.includes('== /proc/self/mountinfo') || /== \/proc\/\d+\/mountinfo/.test(stdout),
        'nothing was read',
        ran.outcome,
      );
      const leaks = secretsOf(ground).flatMap((secret) => placesOf(secret, stdout));
      must(leaks.length === 0, `found as ${user ?? 'its own user'}`, leaks);
      const others = [...stdout.matchAll(/^== \/proc\/(\d+)\/(?:environ|maps|cwd|root|exe)\b/gm)].filter(
        ([, pid]) => pid === '1',
      );
      must(
        others.length === 0,
        'process 1 can be read',
        others.map(([line]) => line),
      );
    }
  },
  async control(ground) {
    const { stdout } = await ground.outside.python('read-proc.py', {
      args: ['65536', 'cmdline', 'environ', 'cgroup'],
      isApart: false,
    });
    const missing = [
      ground.platform.config.ONCEBOX_DATA_DIR,
      'ONCEBOX_',
      ground.platform.config.instance,
    ].filter((secret) => !stdout.includes(secret));
    must(missing.length === 0, 'outside, they are not found', missing);
  },
};

/** The files that a word is in. */
function placesOf(secret: string, text: string): string[] {
  const places: string[] = [];
  for (let at = text.indexOf(secret); at >= 0 && places.length < 5; at = text.indexOf(secret, at + 1)) {
    const from = text.lastIndexOf('\n== ', at) + 1;
    places.push(`${secret} in ${text.slice(from, text.indexOf('\n', from))}`);
  }
  return places;
}

const machineFiles = [
  ...['kcore', 'keys', 'key-users', 'kmsg', 'timer_list', 'sched_debug', 'latency_stats', 'timer_stats'],
  ...['kpagecount', 'kpageflags', 'kpagecgroup', 'vmallocinfo', 'slabinfo', 'pagetypeinfo', 'kallsyms'],
  ...['iomem', 'modules', 'acpi', 'scsi', 'sysrq-trigger', 'sys/kernel/core_pattern@'],
].map((name) => `/proc/${name}`);
const processOne = [
  'environ',
  'mem',
  'maps',
  'stack',
  'syscall',
  'auxv',
  'pagemap',
  'fd',
  'map_files',
  'root@',
  'cwd@',
  'exe@',
];
const secretFiles = [
  ...machineFiles.filter((path) => !path.endsWith('@')),
  ...processOne.map((name) => `/proc/1/${name}`),
  ...['/dev/mem', '/dev/kmsg', '/dev/port', '/sys/firmware', '/sys/kernel/security', '/sys/kernel/debug'],
];

const secrets: Attack = {
  id: 'proc-kernel-secrets',
  group,
  title: 'reading kcore, keys, kmsg, timer_list and the like, and all of process 1',
  must: 'denied, or nothing there',
  async attack(ground) {
    for (const user of [undefined, '0']) {
      const ran = await runAs(ground, user, 'open-secrets.py', secretFiles);
      const found = saidBy<Record<string, string | number>>(ran);
      // A link's target is a path, an errno is not.
      const had = Object.entries(found).filter(([, got]) =>
        typeof got === 'number' ? got > 0 : !/^E[A-Z]+$/.test(got),
      );
      must(had.length === 0, `read as ${user ?? 'its own user'}`, Object.fromEntries(had));
    }
  },
  async control({ outside }) {
    const ran = await outside.python('open-secrets.py', { args: secretFiles });
    const found = saidBy<Record<string, string | number>>(ran.stdout);
    for (const path of ['/proc/kmsg', '/proc/1/environ', '/proc/1/maps', '/proc/1/root', '/proc/slabinfo']) {
      const got = found[path] ?? '';
      must(typeof got === 'number' ? got > 0 : got.startsWith('/'), `root outside cannot read ${path}`, got);
    }
  },
};

const writes: Attack = {
  id: 'proc-write-all',
  group,
  title: 'opening every file under /proc and /sys for writing: core_pattern, sysrq-trigger, sysctls',
  must: "denied, but for the process's own",
  async attack(ground) {
    for (const user of [undefined, '0']) {
      const ran = await runAs(ground, user, 'open-for-writing.py', []);
      const { opened, tried } = saidBy<{ opened: string[]; tried: number }>(ran);
      must(tried > 100, 'there was little to try', tried);
      must(opened.length === 0, `${opened.length} could be written as ${user ?? 'its own user'}`, opened);
    }
  },
  async control({ outside }) {
    const ran = await outside.python('open-for-writing.py', { args: ['/proc/sys/kernel', '/proc/sys/vm'] });
    const { opened } = saidBy<{ opened: string[] }>(ran.stdout);
    must(opened.includes('/proc/sys/kernel/core_pattern'), 'root outside cannot', opened.length);
  },
};

const ownProcess: Attack = {
  id: 'proc-own-process',
  group,
  title: "a process's own oom score, id maps and labels, and those of process 1",
  must: 'denied',
  async attack(ground) {
    const found = saidBy<Record<string, string>>(await ground.program('own-process.py'));
    const done = Object.entries(found).filter(([, end]) => end === 'OK');
    must(done.length === 0, 'written', Object.fromEntries(done));
  },
  async control({ outside }) {
    const found = saidBy<Record<string, string>>((await outside.python('own-process.py')).stdout);
    must(
      found['oom score of process 1'] === 'OK' && found['memory of process 1'] === 'OK',
      'root outside cannot',
      found,
    );
  },
};

const exe: Attack = {
  id: 'proc-overwrite-exe',
  group,
  title: 'overwriting /proc/self/exe and /proc/1/exe, also when nobody runs them any more (CVE-2019-5736)',
  must: 'denied; the image is unchanged',
  async attack(ground) {
    const { found } = saidBy<{ found: Record<string, string> }>(await ground.program('overwrite-exe.py'));
    const done = Object.entries(found).filter(([, end]) => end === 'OK');
    must(done.length === 0, 'opened for writing', Object.fromEntries(done));
  },
  async control({ outside }) {
    // One that ends when it is told to, and not by the clock.
    const copy = 'cp "$(command -v cat)" copy; exec python3 "$0" ./copy';
    const ran = await outside.run(['sh', '-c', copy, programPath('overwrite-exe.py')]);
    const { found } = saidBy<{ found: Record<string, string> }>(ran.stdout);
    must(found['held through its end'] === 'OK', 'root outside cannot', found);
  },
};

const descriptors: Attack = {
  id: 'proc-descriptors',
  group,
  title: 'inherited descriptors, in node and in python',
  must: 'only its own are open: pipes, and no socket, directory, file, or ring',
  async attack(ground) {
    for (const name of ['descriptors.py', 'descriptors.js']) {
      const open = saidBy<string[]>(await ground.program(name));
      const foreign = open.filter((target) => !isOwn(target));
      must(open.length >= 3 && foreign.length === 0, `${name} finds more`, open);
    }
  },
  async control({ outside }) {
    const script = 'exec 9</etc 8<>/dev/zero; exec python3 "$0"';
    const ran = await outside.run(['bash', '-c', script, programPath('descriptors.py')]);
    const open = saidBy<string[]>(ran.stdout);
    must(
      open.some((target) => !isOwn(target)),
      'an inherited descriptor is not seen',
      open,
    );
  },
};

function isOwn(target: string): boolean {
  return /^(pipe:|anon_inode:\[event(poll|fd)\]|\/dev\/null$|\/proc\/\d+\/fd$|\/dev\/urandom$)/.test(target);
}

const workingDirectories = Array.from({ length: 13 }, (_, n) => `/proc/self/fd/${n + 3}`);

const workingDirectory: Attack = {
  id: 'proc-working-directory',
  group,
  title: 'an image whose working directory is /proc/self/fd/N, /proc/1/cwd or /proc/1/root (CVE-2024-21626)',
  must: 'it cannot be entered, or is inside the box',
  async attack(ground) {
    const tried = await Promise.all(
      [...workingDirectories, '/proc/1/cwd', '/proc/1/root', '/proc/self/cwd', '/proc/self/root'].map(
        async (workdir) => {
          const entrypoint = ['/bin/sh', '-c', 'pwd -P; echo ../*; cat ../../../../etc/hostname; ls -id /'];
          const ran = await ground
            .run({ image: 'bash', workdir, entrypoint })
            .catch((error: Error) => error.message);
          return { workdir, ran };
        },
      ),
    );
    const checkouts = secretsOf(ground);
    for (const { workdir, ran } of tried) {
      const said = typeof ran === 'string' ? ran : ran.stdout + ran.stderr;
      const leaks = checkouts.filter((secret) => said.includes(secret));
      const isOutside = /lost\+found|unreachable/.test(said);
      must(leaks.length === 0 && !isOutside, `${workdir} leads out`, said);
    }
  },
  async control({ outside }) {
    const ran = await outside.run(['bash', '-c', 'exec 7</etc; cd /tmp; cd /proc/self/fd/7 && pwd -P']);
    must(`${ran.stdout}` === '/etc\n', 'an inherited directory cannot be entered', ran);
  },
};

const releaseAgent: Attack = {
  id: 'proc-release-agent',
  group,
  title: "a cgroup hierarchy whose release_agent the kernel runs as the host's root (CVE-2022-0492)",
  must: 'no hierarchy can be mounted or found',
  async attack(ground) {
    for (const user of [undefined, '0']) {
      const found = saidBy<Record<string, string>>(await runAs(ground, user, 'release-agent.py', []));
      const done = Object.entries(found).filter(([, end]) => end === 'OK');
      must(done.length === 0, `done as ${user ?? 'its own user'}`, Object.fromEntries(done));
    }
  },
  async control({ outside }) {
    const found = saidBy<Record<string, string>>((await outside.python('release-agent.py')).stdout);
    must(found.release_agent === 'OK', 'root outside cannot', found);
  },
};

/** As the sandbox's own user, or as one of the image's. */
async function runAs(
  ground: Ground,
  user: string | undefined,
  program: string,
  args: string[],
  stdoutBytes = MiB,
) {
  const limits = { stdoutBytes };
  if (user === undefined) return ground.program(program, { args, limits });
  // Where the image's root may write.
  const files = [{ path: program, content: await readProgram(program) }];
  const entrypoint = ['python3', `/tmp/${program}`, ...args];
  return ground.run({ image: 'python', user, workdir: '/tmp', files, entrypoint, limits });
}

export const procAttacks: readonly Attack[] = [
  reads,
  secrets,
  writes,
  ownProcess,
  exe,
  descriptors,
  workingDirectory,
  releaseAgent,
];
