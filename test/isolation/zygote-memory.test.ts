import { randomBytes } from 'node:crypto';
import { open, readdir, readFile, readlink } from 'node:fs/promises';
import { expect, test } from 'vitest';
import type { RuntimeName } from '../../sdk/contract/runtime-name.ts';
import { useFunctionZones } from '../support/function-zones.ts';
import { descendants } from '../support/host.ts';
import { useZones } from '../support/zones.ts';

const { zone, run, park, launcherPid } = useZones();
const functions = useFunctionZones();

interface ZonePids {
  agent: number;
  zygote: number;
}

/** The zone whose zygote is no other's: process 299 of its pid namespace, below the agent, its process 1. */
async function zonesOf(launcher: number): Promise<ZonePids[]> {
  const found: ZonePids[] = [];
  for (const pid of await descendants(launcher)) {
    const status = await readFile(`/proc/${pid}/status`, 'utf8').catch(() => '');
    if (!/NSpid:\t\d+\t299\n/.test(status)) continue;
    found.push({ zygote: pid, agent: Number(/PPid:\t(\d+)/.exec(status)?.[1]) });
  }
  return found;
}

/** In which of its mappings a process has the bytes. */
async function whereIn(pid: number, bytes: Buffer): Promise<string[]> {
  const maps = (await readFile(`/proc/${pid}/maps`, 'utf8')).trim().split('\n');
  const memory = await open(`/proc/${pid}/mem`);
  const found: string[] = [];
  try {
    for (const line of maps) {
      const [range = '', permissions = '', , , , name = ''] = line.split(/\s+/);
      if (!permissions.startsWith('r') || name.startsWith('[v')) continue;
      const [from = 0, to = 0] = range.split('-').map((text) => Number.parseInt(text, 16));
      for (let at = from; at < to; at += 1 << 22) {
        const chunk = Buffer.alloc(Math.min((1 << 22) + bytes.length, to - at));
        const { bytesRead } = await memory.read(chunk, 0, chunk.length, at).catch(() => ({ bytesRead: 0 }));
        if (chunk.subarray(0, bytesRead).includes(bytes)) found.push(`${range} ${permissions} ${name}`);
      }
    }
  } finally {
    await memory.close();
  }
  return found;
}

/** Never whole in this test's own code or in an argument, so that only what was sent has it. */
const newMarker = () => randomBytes(12).toString('hex');

const programs: Record<RuntimeName, (marker: string) => string> = {
  node: (marker) => `const mark = '${marker}';
    console.error(mark);
    const input = require('node:fs').readFileSync(0, 'utf8');
    console.log(mark, input, process.env.MARK);`,
  python: (marker) => `import os, sys
mark = '${marker}'
print(mark, file=sys.stderr, flush=True)
print(mark, sys.stdin.read(), os.environ['MARK'], flush=True)`,
  bash: (marker) =>
    `mark=${marker}; echo $mark >&2; read -r input; while read -r; do :; done; echo $mark $input $MARK`,
};

test.each(['node', 'python', 'bash'] as const)(
  'nothing of a %s program is in the memory of its zygote or agent when it is over; while it runs it is in its own',
  async (runtime) => {
    const known = await zonesOf(launcherPid());
    await zone(runtime);
    const [pids] = (await zonesOf(launcherPid())).filter(({ agent }) =>
      known.every((one) => one.agent !== agent),
    );
    expect(pids).toBeDefined();
    const { agent, zygote } = pids as ZonePids;
    const marker = newMarker();
    const bytes = Buffer.from(marker);
    const large = `${marker}\n`.repeat(8_000);
    const meanwhile = async () => {
      const children = (await descendants(agent)).filter((pid) => pid !== zygote);
      const found = await Promise.all(children.map((pid) => whereIn(pid, bytes).catch(() => [])));
      expect(found.flat(), 'the control').not.toEqual([]);
    };
    const given = { stdin: large, env: { MARK: marker }, args: [marker] };
    expect((await run(runtime, programs[runtime](marker), { ...given, meanwhile })).stdout).toContain(marker);
    for (let more = 0; more < 3; more++) await run(runtime, programs[runtime](marker), given);
    expect(await whereIn(zygote, bytes), 'zygote').toEqual([]);
    expect(await whereIn(agent, bytes), 'agent').toEqual([]);
    // Shells are copies of the agent: what it had, the next sandbox's init would have.
    const parked = await park(runtime);
    const inits = (await descendants(agent)).filter((pid) => pid !== zygote);
    expect(inits.length).toBeGreaterThanOrEqual(2);
    for (const pid of inits) expect(await whereIn(pid, bytes), 'parked').toEqual([]);
    await parked.kill();
  },
);

test("no event and no result is in the memory of a function's zygote or agent when the call is over", async () => {
  const before = await zonesOf(functions.launcherPid());
  const { call } = await functions.initialised('node', {
    'index.cjs':
      'exports.handler = (event) => { console.log(event); return { given: event, reversed: [...event].reverse().join("") }; };',
  });
  const after = await zonesOf(functions.launcherPid());
  const [pids] = after.filter(({ agent }) => before.every((one) => one.agent !== agent)) as [ZonePids];
  const marker = newMarker();
  for (let calls = 0; calls < 3; calls++)
    expect((await call(marker.repeat(3_000))).value.given).toContain(marker);
  for (const text of [marker, [...marker].reverse().join('')]) {
    expect(await whereIn(pids.zygote, Buffer.from(text)), 'zygote').toEqual([]);
    expect(await whereIn(pids.agent, Buffer.from(text)), 'agent').toEqual([]);
  }
});

test("a function's environment is in its own zygote, and in no agent and no other zygote", async () => {
  const marker = newMarker();
  const bytes = Buffer.from(marker);
  const before = await zonesOf(functions.launcherPid());
  await functions.initialised(
    'python',
    { 'index.py': 'def handler(event, context):\n    return 1\n' },
    { env: { SECRET: marker } },
  );
  const after = await zonesOf(functions.launcherPid());
  const [own] = after.filter(({ agent }) => before.every((one) => one.agent !== agent)) as [ZonePids];
  await functions.initialised('python', { 'index.py': 'def handler(event, context):\n    return 2\n' });
  expect(await whereIn(own.zygote, bytes), 'the control').not.toEqual([]);
  expect(await whereIn(own.agent, bytes)).toEqual([]);
  expect(await whereIn(functions.launcherPid(), bytes)).toEqual([]);
  const others = (await zonesOf(functions.launcherPid())).filter(({ agent }) => agent !== own.agent);
  expect(others.length).toBeGreaterThan(0);
  for (const { agent, zygote } of others)
    for (const pid of [agent, zygote]) expect(await whereIn(pid, bytes)).toEqual([]);
});

test.each(['node', 'python', 'bash'] as const)(
  'a %s zygote has no descriptor but its own, and nothing in its environment that is ours',
  async (runtime) => {
    await zone(runtime);
    await run(runtime, runtime === 'bash' ? ':' : '');
    const names = { node: 'zygote.cjs', python: 'zygote.py', bash: '' };
    const zygotes = [];
    for (const { zygote } of await zonesOf(launcherPid())) {
      const command = await readFile(`/proc/${zygote}/cmdline`, 'utf8');
      if (runtime === 'bash' ? !command.includes('zygote') : command.includes(names[runtime]))
        zygotes.push(zygote);
    }
    expect(zygotes).toHaveLength(1);
    const [zygote] = zygotes as [number];
    const fds = await readdir(`/proc/${zygote}/fd`);
    const targets = new Map<number, string>();
    for (const fd of fds) targets.set(Number(fd), await readlink(`/proc/${zygote}/fd/${fd}`));
    expect(targets.get(0)).toBe('/dev/null');
    expect(targets.get(3), 'fork requests').toMatch(/^socket:/);
    expect(targets.get(4), 'events').toMatch(/^pipe:/);
    expect(targets.get(5)).toMatch(/^pid:\[/);
    const others = [...targets].filter(([fd]) => fd > 5).map(([, target]) => target.replace(/:\[\d+\]$/, ''));
    const own = /^(pipe|anon_inode:\[(eventpoll|eventfd)\]|\/dev\/null)$/;
    expect(others.filter((target) => !own.test(target))).toEqual([]);
    expect([...targets.values()].filter((target) => target.startsWith('socket:'))).toHaveLength(1);
    const environment = (await readFile(`/proc/${zygote}/environ`, 'utf8'))
      .split('\0')
      .filter((text) => text !== '');
    const known = ['PATH', 'LD_PRELOAD', 'UV_USE_IO_URING', 'LANG', 'HOME'];
    const ours = runtime === 'bash' ? [] : known;
    if (runtime !== 'bash') expect(environment.map((text) => text.split('=')[0])).toEqual(ours);
    else expect(environment.join('\n')).not.toMatch(/REDIS|TOKEN|SECRET|PASSWORD/i);
  },
);
