import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { firstOwnId } from '../../../runtime/image/ids.ts';
import type { Attack } from './attack.ts';
import { callFunction, callUntilShared, decidedWithinMs, deployProgram, lastOf } from './functions.ts';
import type { Ground } from './ground.ts';
import { daemonName, untilGone } from './processes.ts';
import { programPath } from './programs.ts';
import { must } from './verdict.ts';

const group = 'zygote-initialisation';
const none = '0000000000000000';
const victim = 'zygote-victim';

interface Said {
  found: Record<string, string>;
  privileges: { CapEff: string; Seccomp: string; uid: number };
  honest?: boolean;
}

interface Act {
  program: 'zygote.py' | 'zygote.mjs';
  attack: string;
  title: string;
  /**
   * `shared`: it gets its zygote, all that it tried was refused, and its forks are sandboxes as any other. `unfit`: the
   * zygote is refused or lost, with a reason in the log. `either`: one of them.
   */
  end: 'shared' | 'unfit' | 'either';
}

const acts: Act[] = [
  {
    program: 'zygote.py',
    attack: 'reach_the_agent',
    end: 'shared',
    title: 'signals, ptrace, prlimit, pidfd, priorities and /proc of its agent',
  },
  {
    program: 'zygote.py',
    attack: 'reach_others',
    end: 'shared',
    title: "layers, cgroups, sockets and ports of the platform, other namespaces, the zone's own",
  },
  {
    program: 'zygote.py',
    attack: 'change_mounts',
    end: 'shared',
    title: 'mounts, devices, bpf, io_uring, and writes to shared layers and code',
  },
  {
    program: 'zygote.py',
    attack: 'forge_events',
    end: 'either',
    title: 'forged events on the pipe to its agent',
  },
  { program: 'zygote.py', attack: 'forge_garbage', end: 'unfit', title: 'garbage on the pipe to its agent' },
  {
    program: 'zygote.py',
    attack: 'forge_requests',
    end: 'either',
    title: 'forged fork requests and descriptors, sent back on their socket',
  },
  {
    program: 'zygote.py',
    attack: 'steal_requests',
    end: 'either',
    title: 'reading what its agent sends before it is asked for: the filter of its forks',
  },
  {
    program: 'zygote.py',
    attack: 'own_socket',
    end: 'either',
    title: 'a socket and a filter of its own in place of those of its agent',
  },
  {
    program: 'zygote.py',
    attack: 'daemon',
    end: 'unfit',
    title: 'a daemon that left its session and its descriptors',
  },
  { program: 'zygote.py', attack: 'fork_bomb', end: 'unfit', title: 'a fork bomb' },
  { program: 'zygote.py', attack: 'memory_bomb', end: 'unfit', title: 'a memory bomb' },
  {
    program: 'zygote.py',
    attack: 'shared_memory',
    end: 'unfit',
    title: 'shared memory, for its forks to talk by',
  },
  {
    program: 'zygote.py',
    attack: 'never',
    end: 'unfit',
    title: 'initialisation that never returns',
  },
  {
    program: 'zygote.py',
    attack: 'close_descriptors',
    end: 'unfit',
    title: 'closing its descriptors to its agent',
  },
  {
    program: 'zygote.py',
    attack: 'replace_handlers',
    end: 'either',
    title: 'ignored and blocked signals, timers, a umask, orphans of others',
  },
  {
    program: 'zygote.py',
    attack: 'serve_early',
    end: 'either',
    title: "calling the platform's own function that serves forks",
  },
  {
    program: 'zygote.py',
    attack: 'after_fork',
    end: 'either',
    title: 'a memory bomb that goes off in its forks, before they have a job',
  },
  {
    program: 'zygote.py',
    attack: 'exit_after_fork',
    end: 'either',
    title: 'forks that end before they have a job',
  },
  {
    program: 'zygote.py',
    attack: 'hang_after_fork',
    end: 'either',
    title: 'forks that hang before they have a job',
  },
  {
    program: 'zygote.py',
    attack: 'threads',
    end: 'unfit',
    title: 'a thread that it hides from the interpreter',
  },
  {
    program: 'zygote.py',
    attack: 'environment',
    end: 'either',
    title: "LD_PRELOAD in its environment, and the platform's own modules replaced",
  },
  {
    program: 'zygote.mjs',
    attack: 'reach',
    end: 'shared',
    title: 'node: the agent, layers, cgroups, and writes',
  },
  { program: 'zygote.mjs', attack: 'native', end: 'shared', title: "node: calling the platform's own addon" },
  {
    program: 'zygote.mjs',
    attack: 'serve',
    end: 'either',
    title: "node: calling the addon's own function that serves forks",
  },
  {
    program: 'zygote.mjs',
    attack: 'modules',
    end: 'either',
    title: "node: the platform's own modules, JSON.parse and promises replaced",
  },
  { program: 'zygote.mjs', attack: 'daemon', end: 'unfit', title: 'node: a detached daemon' },
  {
    program: 'zygote.mjs',
    attack: 'events',
    end: 'either',
    title: 'node: forged events on the pipe to its agent',
  },
  {
    program: 'zygote.mjs',
    attack: 'close',
    end: 'unfit',
    title: 'node: closing its descriptors to its agent',
  },
  { program: 'zygote.mjs', attack: 'listen', end: 'either', title: 'node: a server on an abstract socket' },
  { program: 'zygote.mjs', attack: 'exit', end: 'unfit', title: 'node: process.exit()' },
  { program: 'zygote.mjs', attack: 'stack', end: 'unfit', title: 'node: endless recursion' },
];

function initialisation(act: Act): Attack {
  const { program, attack, title, end } = act;
  const language = program === 'zygote.py' ? 'python' : 'node';
  return {
    id: `zygote-${language}-${attack.replaceAll('_', '-')}`,
    group,
    title: `from inside a function's initialisation: ${title.replace(/^node: /, '')} (${language})`,
    must: 'denied; each call is answered; other functions keep their zygotes',
    when: 'together',
    async attack(ground) {
      await deployVictim(ground);
      const name = `zygote-${language}-${attack.replaceAll('_', '-')}`.slice(0, 60);
      const sleeper = daemonName();
      await deployProgram(ground, name, program, {
        env: { ATTACK: attack, NAME: sleeper, ...placesOf(ground) },
        limits: { wallMs: ground.ms(10_000) },
      });
      try {
        const ended = await callUntilDecided(ground, name, end);
        if (end !== 'either') must(ended === end, `its zygote is ${ended}`, lastOf(ground.complaints));
        await callHonest(ground, name);
      } finally {
        await ground.client.deleteFunction(name);
      }
      await untilGone(ground, sleeper);
      await victimIsWell(ground);
    },
    control: (ground) => succeedsOutside(ground, act),
  };
}

/** What there is of the platform, for a program that would find it. */
function placesOf({ platform, url }: Ground): Record<string, string> {
  const { runDir } = platform.config;
  const sockets = ['redis.sock', 'launcher.sock', 'node.sock'].map((name) => join(runDir, name));
  return { SOCKETS: JSON.stringify(sockets), PORTS: JSON.stringify([Number(new URL(url).port), 6379]) };
}

/** A function with a zygote of its own, in another zone than any attacker's. */
async function deployVictim(
  ground: Ground,
  called = victim,
  program: Act['program'] = 'zygote.py',
): Promise<void> {
  const functions = await ground.client.functions();
  if (!functions.some(({ name }) => name === called)) await deployProgram(ground, called, program);
  await callUntilShared(ground, called);
}

async function victimIsWell(ground: Ground): Promise<void> {
  const { record, body } = await callUntilShared(ground, victim);
  must(
    record.outcome?.status === 'ok' && (body as Said).honest === true,
    'another function is not well',
    body,
  );
}

/** Calls until its zygote serves, or the log says that it has none. Every call has to be answered, and honestly. */
async function callUntilDecided(ground: Ground, name: string, end: Act['end']): Promise<'shared' | 'unfit'> {
  const refusal = refusalsOf(ground, name);
  const deadline = performance.now() + ground.ms(decidedWithinMs);
  for (;;) {
    const record = await callHonest(ground, name);
    if (record.init?.shared) {
      if (end === 'shared') return 'shared';
      // It may yet be found out; it is what it seems after a few calls more.
      for (let calls = 0; calls < 4; calls++) await callHonest(ground, name);
      return refusal() ? 'unfit' : 'shared';
    }
    // One that is fit may be refused on a busy machine, and is tried again.
    if (end !== 'shared' && refusal()) return 'unfit';
    must(
      performance.now() < deadline,
      'it neither got a zygote nor was refused one',
      lastOf(ground.complaints),
    );
    await delay(ground.ms(50), undefined, { signal: ground.signal });
  }
}

/** Whether the log has said since that a function is unfit for a zygote: for what it did, not for what others do. */
function refusalsOf({ complaints }: Ground, name: string): () => boolean {
  const seen = complaints.length;
  return () => complaints.slice(seen).some((line) => line.includes(name) && !line.includes('others do'));
}

async function callHonest(ground: Ground, name: string) {
  const { body, record, status } = await callFunction(ground, name);
  // What its own initialisation did to its own forks may be a failure of theirs, but a clear one.
  const isClear = record.outcome !== undefined && record.outcome.status !== 'lost';
  must(isClear, 'a call was lost', { status, outcome: record.outcome });
  if (record.outcome?.status !== 'ok') return record;
  const { found, privileges } = body as Said;
  if (found === undefined) return record;
  const done = Object.entries(found).filter(([name, how]) => how === 'OK' && name !== 'filter');
  must(done.length === 0, 'not refused', Object.fromEntries(done));
  must(privileges.CapEff === none && privileges.Seccomp === '2', 'its fork has privileges', privileges);
  must(privileges.uid >= firstOwnId, 'its fork is not a user of its own', privileges);
  return record;
}

/**
 * The initialisation as root of the machine, in namespaces of its own and with descriptors of ours in place of its agent's:
 * what it does shows. Bombs are not set off: that a function can be one is what the groups of processes and memory show.
 */
const outsideShows: Partial<Record<string, (said: string) => boolean>> = {
  reach_the_agent: (said) =>
    ok(said, ['ptrace', 'prlimit', '/proc/1/mem', '/proc/1/ns/mnt', 'its scheduler']),
  reach_others: (said) =>
    ok(said, ['a namespace by unshare: mnt', 'a namespace by unshare: net', '/sys/fs/cgroup']),
  change_mounts: (said) => ok(said, ['mount', 'make /new', 'make /work/new', 'device', 'write /etc/passwd']),
  forge_events: (said) => said.includes('"events": 480'),
  forge_garbage: (said) => said.includes('"events": 4001'),
  forge_requests: (said) => said.includes('"messages": 2'),
  steal_requests: (said) => said.includes('"stolen": "10"'),
  close_descriptors: (said) => said.includes('"events": 0'),
  shared_memory: (said) => ok(said, ['shared']),
  exit_after_fork: (said) => said.includes('"after fork": "0"'),
  hang_after_fork: (said) => said.includes('"after fork": "hangs"'),
  replace_handlers: (said) => said.includes('"signals": "ignored"'),
  never: (said) => said.includes('"goes on": true'),
  threads: (said) => said.includes('"threads": "2"'),
  fake_success: (said) => ok(said, ['filter', 'still root']),
  environment: (said) => said.includes('"value":"forged"'),
};

function ok(said: string, names: readonly string[]): boolean {
  return names.every((name) => said.includes(`${JSON.stringify(name)}: "OK"`));
}

/** Over the machine's files lies one layer more, in memory: what is written goes there. */
const overTheMachine =
  'mount -t tmpfs t /mnt && mkdir /mnt/u /mnt/w /mnt/m /mnt/u/work /mnt/u/function && chmod 1777 /mnt/u/work && ' +
  'mount -t overlay o -o lowerdir=/,upperdir=/mnt/u,workdir=/mnt/w /mnt/m && mount --rbind /proc /mnt/m/proc && ' +
  'mount --rbind /sys /mnt/m/sys && mount -t tmpfs t /mnt/m/tmp && mount -t tmpfs t /mnt/m/dev && mknod /mnt/m/dev/null c 1 3 && ' +
  'mkdir /mnt/m/dev/shm && cp "$0" "$1" /mnt/m/tmp/ && exec chroot /mnt/m python3 "/tmp/$(basename "$0")" "$2" "/tmp/$(basename "$1")"';

async function succeedsOutside(ground: Ground, { program, attack }: Act): Promise<void> {
  const shows = outsideShows[attack];
  if (program === 'zygote.py' && shows) {
    const paths = ['zygote-outside.py', 'zygote.py'].map(programPath);
    const command = ['bash', '-c', overTheMachine, ...paths, attack];
    const ran = await ground.outside.run(command, { withinMs: 300_000 });
    must(shows(`${ran.stdout}`), 'outside it does not do what it tries', `${ran.stdout} ${ran.stderr}`);
    return;
  }
  // Without its act the same function gets its zygote, and serves.
  const name = `${victim}${program === 'zygote.py' ? '' : '-node'}`;
  await deployVictim(ground, name, program);
  const { body } = await callUntilShared(ground, name);
  must((body as Said).honest === true, 'without its act the function does not work', body);
}

const fakeSuccess: Attack = {
  id: 'zygote-python-fake-success',
  group,
  title:
    "from inside a function's initialisation: a filter that makes the loss of privileges seem to succeed (python)",
  when: 'together',
  must: 'what its forks keep is of no use: mounts, tracing, other namespaces, the kernel are denied them',
  async attack(ground) {
    await deployVictim(ground);
    const name = 'zygote-fake-success';
    await deployProgram(ground, name, 'zygote.py', { env: { ATTACK: 'fake_success', ...placesOf(ground) } });
    try {
      const decided = await decideBy(ground, name);
      if (decided === 'unfit') return;
      const { body, record } = await callFunction(ground, name, 'attack');
      must(record.outcome?.status === 'ok', 'the attack did not run', record.outcome);
      const done = Object.entries((body as Said).found).filter(([, how]) => how === 'OK');
      must(done.length === 0, 'done with what it kept', { done, privileges: (body as Said).privileges });
    } finally {
      await ground.client.deleteFunction(name);
    }
    await victimIsWell(ground);
  },
  control: (ground) =>
    succeedsOutside(ground, { program: 'zygote.py', attack: 'fake_success', title: '', end: 'shared' }),
};

async function decideBy(ground: Ground, name: string): Promise<'shared' | 'unfit'> {
  const refusal = refusalsOf(ground, name);
  const deadline = performance.now() + ground.ms(decidedWithinMs);
  for (;;) {
    const { record } = await callFunction(ground, name);
    if (record.init?.shared) return 'shared';
    if (refusal()) return 'unfit';
    must(
      performance.now() < deadline,
      'it neither got a zygote nor was refused one',
      lastOf(ground.complaints),
    );
    await delay(ground.ms(50), undefined, { signal: ground.signal });
  }
}

const timeLimit: Attack = {
  id: 'zygote-python-spin',
  group,
  title: 'a fork of a hostile initialisation that ignores signals and spins',
  when: 'together',
  must: 'a verdict of its time limit, on time',
  async attack(ground) {
    const name = 'zygote-spin';
    // By what it takes of a processor, which its initialisation takes little of however long that is.
    await deployProgram(ground, name, 'zygote.py', {
      env: { ATTACK: 'replace_handlers' },
      limits: { wallMs: ground.netMs, cpuMs: ground.ms(1_500) },
    });
    try {
      await decideBy(ground, name);
      const { record } = await callFunction(ground, name, 'spin');
      const { outcome } = record;
      must(outcome?.status === 'timeout' && outcome.limit === 'cpu', 'no verdict of its time', outcome);
    } finally {
      await ground.client.deleteFunction(name);
    }
  },
  async control({ outside }) {
    const ran = await outside.python('stop.py', { args: ['ignore'], goesOnMs: 1_000 });
    must(ran.isLate, 'it ended by itself', ran);
  },
};

export const zygoteAttacks: readonly Attack[] = [...acts.map(initialisation), fakeSuccess, timeLimit];
