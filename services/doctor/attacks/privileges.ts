import { chmod, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { sandboxIdBase } from '../../../runtime/image/ids.ts';
import type { Invocation } from '../../../sdk/contract/invocation.ts';
import type { Attack } from './attack.ts';
import { sandboxCgroups } from './cleanliness.ts';
import { elfOf } from './elf.ts';
import { type Ground, saidBy } from './ground.ts';
import { ociArchiveOf } from './oci-archive.ts';
import { readProgram } from './programs.ts';
import { must, NotHere } from './verdict.ts';

const group = 'privileges';
const none = '0000000000000000';

interface Status {
  capabilities: Record<string, string>;
  no_new_privs: string;
  seccomp: string;
  uid: number;
  groups: number[];
  mounts: Record<string, string>;
}

const identity: Attack = {
  id: 'privileges-none',
  group,
  title: 'a program that looks for privileges of its own: as its own user and as the root of its image',
  must: 'no capability in any set, no_new_privs, a filter; every mount nosuid and nodev but that of /dev',
  async attack(ground) {
    for (const user of [undefined, '0', '65535']) {
      const status = saidBy<Status>(await runAs(ground, user, 'status.py'));
      const who = user ?? 'its own user';
      must(
        Object.values(status.capabilities).every((set) => set === none),
        `capabilities as ${who}`,
        status.capabilities,
      );
      must(status.no_new_privs === '1' && status.seccomp === '2', `not confined as ${who}`, status);
      const lax = Object.entries(status.mounts).filter(
        ([path, flags]) =>
          !flags.includes('nosuid') || (!flags.includes('nodev') && !path.startsWith('/dev')),
      );
      must(lax.length === 0, `lax mounts as ${who}`, Object.fromEntries(lax));
    }
  },
  async control({ outside }) {
    const status = saidBy<Status>((await outside.python('status.py')).stdout);
    must(status.capabilities.CapEff !== none && status.seccomp !== '2', 'root outside has none', status);
  },
};

const gains: Attack = {
  id: 'privileges-gain',
  group,
  title:
    'file capabilities, overlay attributes (CVE-2021-3493), device nodes, owners, ids, setuid files of its own',
  must: 'refused, or no effect',
  async attack(ground) {
    for (const user of [undefined, '0']) {
      const found = saidBy<Record<string, string>>(await runAs(ground, user, 'gain-privileges.py'));
      const done = Object.entries(found).filter(([, end]) => end === 'OK' || !/^(E[A-Z]+|none)$/.test(end));
      must(Object.keys(found).length === 10 && done.length === 0, `done as ${user ?? 'its own user'}`, found);
    }
  },
  async control({ outside }) {
    const found = saidBy<Record<string, string>>(
      (await outside.python('gain-privileges.py', { args: ['no-setuid'] })).stdout,
    );
    for (const name of ['security.capability', "root's file", 'device node', 'become root', 'join groups'])
      must(found[name] === 'OK', `root outside cannot: ${name}`, found);
  },
};

/** All capabilities, permitted and effective: `struct vfs_cap_data` of revision 2. */
const allCapabilities = Buffer.from('01000002ffffffff00000000ffffffff00000000', 'hex');

const setuid: Attack = {
  id: 'privileges-setuid',
  group,
  title: 'an image with setuid-root programs and programs with file capabilities, run as another user',
  must: 'no effect',
  async attack(ground) {
    requireX64();
    const reference = 'localhost/oncebox-attack-setuid:1';
    const archive = ociArchiveOf(
      [
        { path: 'suid', data: elfOf('effectiveUser'), mode: 0o6755 },
        {
          path: 'caps',
          data: elfOf('effectiveCapabilities'),
          mode: 0o755,
          attributes: { 'security.capability': allCapabilities },
        },
      ],
      reference,
    );
    await ground.client.importImage(archive, { reference });
    try {
      const run = (path: string) => ground.run({ image: reference, user: '1000', entrypoint: [path] });
      const suid = await run('/suid');
      must(exitCodeOf(suid) === (1000 & 0xff), 'the user of a setuid program is another', suid.outcome);
      const caps = await run('/caps');
      must(
        caps.outcome?.status === 'ok' && exitCodeOf(caps) === 0,
        'it has capabilities, or did not run',
        caps,
      );
    } finally {
      await ground.client.removeImage(reference, { force: true });
    }
  },
  async control({ outside }) {
    requireX64();
    const directory = await mkdtemp(join(tmpdir(), 'oncebox-setuid-'));
    try {
      await chmod(directory, 0o755);
      const [suid, caps] = [join(directory, 'suid'), join(directory, 'caps')];
      await writeFile(suid, elfOf('effectiveUser'));
      await writeFile(caps, elfOf('effectiveCapabilities'));
      await chmod(suid, 0o6755);
      await chmod(caps, 0o755);
      const give = `import os; os.setxattr("${caps}", "security.capability", bytes.fromhex("${allCapabilities.toString('hex')}"))`;
      const given = await outside.run(['python3', '-c', give], { isApart: false });
      must(given.exitCode === 0, 'it could not be given capabilities', given);
      const nobody = ['setpriv', '--reuid', '65534', '--regid', '65534', '--clear-groups'];
      const asRoot = await outside.run([suid], { prefix: nobody, isApart: false });
      must(asRoot.exitCode === 0, 'it did not become root', asRoot);
      // Of capabilities, no more than the machine's root may have: the first eight are enough to see.
      const able = await outside.run([caps], { prefix: nobody, isApart: false });
      must(able.exitCode !== 0 && able.signal === null, 'it has no capabilities, or did not run', able);
    } finally {
      await rm(directory, { recursive: true });
    }
  },
};

const ids: Attack = {
  id: 'privileges-ids',
  group,
  title: 'sandboxes as the host sees them: who they are',
  must: 'nobody of the host, and each its own user of snippets',
  async attack(ground) {
    const limits = { wallMs: 600_000 };
    const sleep = { runtime: 'bash' as const, code: 'sleep 600', limits };
    const queued = await Promise.all([1, 2, 3].map(() => ground.client.runAsync(sleep)));
    try {
      const owners = await ownersOfRunning(ground, queued.length);
      must(
        owners.every((uid) => uid > sandboxIdBase),
        'a sandbox is somebody of the host',
        owners,
      );
      must(new Set(owners).size === owners.length, 'two sandboxes are the same user', owners);
    } finally {
      for (const { id } of queued) await ground.client.cancel(id);
    }
  },
  async control({ outside }) {
    const ran = await outside.run(['sh', '-c', 'grep ^Uid: /proc/self/status']);
    must(/^Uid:\s+0\s/.test(`${ran.stdout}`), 'a process of the host is nobody', `${ran.stdout}`);
  },
};

/** User ids, on the host, of the processes that execute `sleep` in this platform's sandboxes. */
async function ownersOfRunning(ground: Ground, wanted: number): Promise<number[]> {
  const deadline = performance.now() + ground.netMs;
  for (;;) {
    const members = await Promise.all(
      (await sandboxCgroups(ground.platform.config.instance)).map((path) =>
        readFile(join(path, 'cgroup.procs'), 'utf8').catch(() => ''),
      ),
    );
    const statuses = await Promise.all(
      members
        .flatMap((text) => text.trim().split('\n'))
        .map((pid) => readFile(`/proc/${pid}/status`, 'utf8').catch(() => '')),
    );
    const asleep = statuses.filter((status) => /^Name:\s+sleep$/m.test(status));
    if (asleep.length === wanted) return asleep.map((status) => Number(/^Uid:\s+(\d+)/m.exec(status)?.[1]));
    must(
      performance.now() < deadline,
      'they do not run',
      statuses.map((status) => status.split('\n', 1)[0]),
    );
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

function exitCodeOf({ outcome }: Invocation): number | undefined {
  if (outcome?.status === 'ok') return 0;
  return outcome?.status === 'exited' ? outcome.exitCode : undefined;
}

async function runAs(ground: Ground, user: string | undefined, program: string): Promise<Invocation> {
  if (user === undefined) return ground.program(program);
  const files = [{ path: program, content: await readProgram(program) }];
  return ground.run({
    image: 'python',
    user,
    workdir: '/tmp',
    files,
    entrypoint: ['python3', `/tmp/${program}`],
  });
}

function requireX64(): void {
  if (process.arch !== 'x64') throw new NotHere('the programs are of x86-64');
}

export const privilegeAttacks: readonly Attack[] = [identity, gains, setuid, ids];
