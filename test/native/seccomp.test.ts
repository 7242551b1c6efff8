import { constants } from 'node:os';
import { beforeAll, expect, test } from 'vitest';
import {
  ask,
  buildSeccompProbe,
  type FilterName,
  profileRows,
  systemCalls,
  verdicts,
} from './seccomp-probe.ts';

const { EINVAL, EPERM, ENOSYS, ENOMEM, EAFNOSUPPORT, EOPNOTSUPP, ENOPROTOOPT } = constants.errno;
const held = ['sandbox', 'zygote', 'build', 'runtime'] as const satisfies readonly FilterName[];

/** Of gVisor's own filter no row asks for an argument beyond everybody's. */
const asked = ['sandbox', 'zygote', 'build'] as const satisfies readonly FilterName[];

let calls: Map<string, number>;

beforeAll(async () => {
  await buildSeccompProbe();
  calls = await systemCalls();
});

test('the profile has a row for every system call of the architecture that libseccomp knows', async () => {
  const rows = await profileRows();
  const named = new Set(rows.map(({ call }) => call));
  // Newer than libseccomp 2.5.4, which has those of Linux 5.17; they are ENOSYS like any number without a row.
  const newer = 450;
  const missing = [...calls].filter(([name, number]) => number <= newer && !named.has(name));
  expect(missing).toEqual([]);
  const plain = rows.filter(({ kind }) => kind !== 'WHEN' && kind !== 'ELSE').map(({ call }) => call);
  expect(plain.filter((call, index) => plain.indexOf(call) !== index)).toEqual([]);
});

test.each(held)(
  '%s: every number of the architecture gets what its row says, and a number without a row ENOSYS',
  async (filter) => {
    const nameOf = new Map([...calls].map(([name, number]) => [number, name]));
    const rows = new Map((await profileRows()).map((row) => [row.call, row]));
    const answers: Record<string, number> = { ...constants.errno, 0: 0 };
    const { own } = await verdicts(filter);
    expect(own.size).toBe(1025);
    const wrong = [];
    for (const [number, verdict] of own) {
      const row = rows.get(nameOf.get(number) ?? '');
      let wanted = `errno ${ENOSYS}`;
      if (row?.kind === 'WHEN' || row?.kind === 'ELSE') continue; // below
      if (row?.kind === 'ALLOW') wanted = 'allow';
      if (row?.kind === 'REFUSE') wanted = `errno ${EPERM}`;
      if (row?.kind === 'ANSWER') wanted = `errno ${answers[row.answer as string]}`;
      if (row?.kind === 'BUILDERS')
        wanted = filter === 'build' || filter === 'runtime' ? 'allow' : `errno ${EPERM}`;
      if (row?.kind === 'TRACERS') wanted = filter === 'runtime' ? 'allow' : `errno ${EPERM}`;
      if (row?.kind === 'REFUSE_SANDBOX' && filter === 'sandbox') wanted = `errno ${EPERM}`;
      else if (row?.kind === 'REFUSE_SANDBOX') continue; // its WHEN is below
      if (verdict !== wanted) wrong.push({ number, name: nameOf.get(number), verdict, wanted });
    }
    expect(wrong).toEqual([]);
  },
);

test.each([...held, 'child', 'init'] as const)(
  '%s: a call of another architecture ends the process',
  async (filter) => {
    const { x32, foreign } = await verdicts(filter);
    if (process.arch === 'x64') expect(x32.size).toBe(1024);
    for (const answers of [x32, foreign])
      expect(new Set(answers.values()), filter).toEqual(new Set(answers.size > 0 ? ['kill'] : []));
  },
);

const FORK = 17; // SIGCHLD
const refused = `errno ${EPERM}`;
const family = `errno ${EAFNOSUPPORT}`;
const invalid = `errno ${EINVAL}`;
test.each([
  // call, arguments, sandbox, zygote, build
  ['clone', [FORK], 'allow', 'allow', 'allow'],
  ['clone', [0x3d0f00], 'allow', 'allow', 'allow'], // a thread
  ...[0x20000, 0x2000000, 0x4000000, 0x8000000, 0x20000000, 0x40000000].map(
    (namespace) => ['clone', [namespace | FORK], refused, refused, 'allow'] as const,
  ),
  ['clone', [0x10000000 | FORK], refused, refused, refused],
  ['clone', [0x10020000 | FORK], refused, refused, refused],
  ['unshare', [0], refused, refused, 'allow'],
  ['unshare', [0x2000000], refused, 'allow', 'allow'],
  ['unshare', [0x2020000], refused, refused, 'allow'],
  ['unshare', [0x10000000], refused, refused, refused],
  ['unshare', [0x12000000], refused, refused, refused],
  ['setns', [3, 0], refused, 'allow', 'allow'],
  ['ioctl', [0, 0x5412], refused, refused, refused],
  ['ioctl', [0, 0x1_0000_5412], refused, refused, refused], // the kernel does not look at the upper half
  ['ioctl', [0, 0x541c], refused, refused, refused],
  ['ioctl', [0, 0x5423], refused, refused, refused],
  ['ioctl', [0, 0x5401], 'allow', 'allow', 'allow'],
  ['fcntl', [3, 1026], invalid, invalid, invalid], // F_NOTIFY
  ['fcntl', [3, 0x1_0000_0402], invalid, invalid, invalid],
  ['fcntl', [3, 1024], invalid, invalid, invalid], // F_SETLEASE
  ['fcntl', [3, 1025], 'allow', 'allow', 'allow'],
  ['fcntl', [3, 6], 'allow', 'allow', 'allow'], // F_SETLK
  ['prctl', [62, 1], invalid, invalid, invalid], // PR_SCHED_CORE
  ['prctl', [15], 'allow', 'allow', 'allow'], // PR_SET_NAME
  ['mmap', [0, 4096, 3, 0x22, -1], 'allow', 'allow', 'allow'],
  ['mmap', [0, 4096, 3, 0x40022, -1], `errno ${ENOMEM}`, `errno ${ENOMEM}`, `errno ${ENOMEM}`],
  ['memfd_create', [0, 1], 'allow', 'allow', 'allow'],
  ['memfd_create', [0, 5], `errno ${ENOMEM}`, `errno ${ENOMEM}`, `errno ${ENOMEM}`],
  ['personality', [0], 'allow', 'allow', 'allow'],
  ['personality', [0xffffffff], 'allow', 'allow', 'allow'],
  ['personality', [0x40000], refused, refused, refused],
  ['personality', [8], refused, refused, refused],
  ['seccomp', [1, 0], 'allow', 'allow', 'allow'],
  ['seccomp', [1, 8], refused, refused, refused],
  ['setsockopt', [3, 6, 1], 'allow', 'allow', 'allow'],
  ['setsockopt', [3, 6, 31], `errno ${ENOPROTOOPT}`, `errno ${ENOPROTOOPT}`, `errno ${ENOPROTOOPT}`],
  ['llistxattr', [0], 'allow', 'allow', `errno ${EOPNOTSUPP}`],
  ['pidfd_open', [1], 'allow', refused, 'allow'],
  ['pidfd_open', [0x1_0000_0001], 'allow', refused, 'allow'],
  ['pidfd_open', [2], 'allow', 'allow', 'allow'],
  // Nobody who may change ids becomes the services' user or group, by whichever argument.
  ...(['setuid', 'setgid', 'setfsuid', 'setfsgid'] as const).flatMap((call) => [
    [call, [65536], 'allow', refused, refused] as const,
    [call, [65538], 'allow', 'allow', 'allow'] as const,
  ]),
  ...(['setreuid', 'setregid'] as const).flatMap((call) => [
    [call, [1, 65536], 'allow', refused, refused] as const,
    [call, [65536, 1], 'allow', refused, refused] as const,
    [call, [1, 1], 'allow', 'allow', 'allow'] as const,
  ]),
  ...(['setresuid', 'setresgid'] as const).flatMap((call) => [
    [call, [1, 1, 65536], 'allow', refused, refused] as const,
    [call, [1, 65536, 1], 'allow', refused, refused] as const,
    [call, [65536, 1, 1], 'allow', refused, refused] as const,
    [call, [1, 1, 1], 'allow', 'allow', 'allow'] as const,
  ]),
  ['prlimit64', [1], 'allow', refused, 'allow'],
  ['prlimit64', [0], 'allow', 'allow', 'allow'],
  ...['sched_setaffinity', 'sched_setscheduler', 'sched_setparam', 'sched_setattr'].map(
    (call) => [call, [1], 'allow', refused, 'allow'] as const,
  ),
  ['setpriority', [0, 1], 'allow', refused, 'allow'],
  ['setpriority', [0, 0], 'allow', 'allow', 'allow'],
  ['setpriority', [1, 1], 'allow', 'allow', 'allow'], // of a process group
  ['ioprio_set', [1, 1], 'allow', refused, 'allow'],
  ['ioprio_set', [1, 0], 'allow', 'allow', 'allow'],
  // AF_UNIX, AF_INET, AF_INET6
  ['socket', [1, 1, 0], 'allow', 'allow', 'allow'],
  ['socket', [1, 5, 0], 'allow', 'allow', 'allow'],
  ...[2, 10].flatMap((inet) =>
    (
      [
        [0x80801, 0, 'allow'],
        [1, 6, 'allow'],
        [2, 0, 'allow'],
        [2, 17, 'allow'],
        [1, 262, family], // MPTCP
        [1, 132, family], // SCTP
        [5, 132, family],
        [6, 33, family], // DCCP
        [2, 136, family], // UDP-Lite
        [3, 1, refused], // raw
        [0x80803, 0, refused],
      ] as const
    ).map(([type, protocol, answer]) => ['socket', [inet, type, protocol], answer, answer, answer] as const),
  ),
  ['socket', [16, 3, 0], 'allow', 'allow', 'allow'], // AF_NETLINK: route, then others
  ...[2, 4, 6, 9, 12, 15, 16, 22].map(
    (protocol) => ['socket', [16, 3, protocol], family, family, family] as const,
  ),
  ['socket', [17, 3, 0], refused, refused, refused], // AF_PACKET
  // every other family: AF_VSOCK is 40, AF_ALG 38, AF_TIPC 30, AF_RDS 21
  ...[...Array(64).keys()]
    .filter((number) => ![1, 2, 10, 16, 17].includes(number))
    .map((number) => ['socket', [number, 1, 0], family, family, family] as const),
  ['socketpair', [1, 1, 0], 'allow', 'allow', 'allow'],
  ['socketpair', [30, 1, 0], family, family, family],
] as const)('%s(%j) is as the profile says', async (call, values, ...wanted) => {
  const number = calls.get(call) as number;
  const answers = await Promise.all(
    asked.map((filter) =>
      ask(filter, number, ...values.map((value) => (value < 0 ? 2n ** 64n + BigInt(value) : value))),
    ),
  );
  expect(answers).toEqual(wanted);
});

test('a row for each call with conditions has been asked about', async () => {
  const conditional = new Set(
    (await profileRows()).filter(({ kind }) => kind === 'WHEN').map(({ call }) => call),
  );
  expect([...conditional].sort()).toEqual([
    'clone',
    'fcntl',
    'ioctl',
    'ioprio_set',
    'llistxattr',
    'memfd_create',
    'mmap',
    'personality',
    'pidfd_open',
    'prctl',
    'prlimit64',
    'sched_setaffinity',
    'sched_setattr',
    'sched_setparam',
    'sched_setscheduler',
    'seccomp',
    ...['setfsgid', 'setfsuid', 'setgid'],
    'setns',
    'setpriority',
    ...['setregid', 'setresgid', 'setresuid', 'setreuid'],
    'setsockopt',
    'setuid',
    'socket',
    'socketpair',
    'unshare',
  ]);
});

test("what a child of a zygote loads, beside its zygote's filter, comes to the sandbox's", async () => {
  const [sandbox, zygote, child] = await Promise.all([
    verdicts('sandbox'),
    verdicts('zygote'),
    verdicts('child'),
  ]);
  const differing = [...sandbox.own].filter(([number, wanted]) => {
    const stricter = zygote.own.get(number) === 'allow' ? child.own.get(number) : zygote.own.get(number);
    return stricter !== wanted;
  });
  expect(differing).toEqual([]);
  // Zygotes may do more than sandboxes in these two only.
  for (const [call, values] of [
    ['unshare', [0x2000000]],
    ['setns', [3, 0]],
  ] as const)
    expect(await ask('child', calls.get(call) as number, ...values)).toBe(refused);
});

test('the init of a sandbox may wait and write, and nothing else', async () => {
  const allowed = [...(await verdicts('init')).own]
    .filter(([, verdict]) => verdict === 'allow')
    .map(([number]) => number);
  const names = [...calls].filter(([, number]) => allowed.includes(number)).map(([name]) => name);
  expect(names.sort()).toEqual(['close_range', 'exit_group', 'pause', 'ppoll', 'restart_syscall', 'write']);
});
