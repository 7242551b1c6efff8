import { readdir, readFile } from 'node:fs/promises';
import { setTimeout as delay } from 'node:timers/promises';
import type { Invocation } from '../../../sdk/contract/invocation.ts';
import type { Attack } from './attack.ts';
import { endedByWall } from './ended-by-wall.ts';
import type { Ground } from './ground.ts';
import { saidBy } from './ground.ts';
import { must } from './verdict.ts';

const group = 'processes';
const cap = 24;
const wanted = 100;

function manyOf(kind: 'processes' | 'threads'): Attack {
  const act = { args: [kind, `${wanted}`] };
  return {
    id: `many-${kind}`,
    group,
    title: `${wanted} ${kind} under a cap of ${cap}`,
    must: 'the cap is refused and named in the outcome, or the refusal is said inside',
    async attack(ground) {
      const ran = await ground.program('fork-many.py', { ...act, limits: { pids: cap } });
      const named = ran.outcome?.status === 'limit_exceeded' && ran.outcome.limit === 'pids';
      must(named, 'the outcome does not name the cap', ran.outcome);
      const { got } = saidBy<{ got: number }>(ran);
      must(got < cap, `more ${kind} than the cap`, got);
    },
    async control({ outside }) {
      const { got } = saidBy<{ got: number }>((await outside.python('fork-many.py', act)).stdout);
      must(got === wanted, `not all ${kind} could be started`, got);
    },
  };
}

const bomb: Attack = {
  id: 'fork-bomb',
  group,
  title: 'a fork bomb that never ends by itself',
  must: 'it ends by its wall time or its cap, in time, with all that it started',
  async attack(ground) {
    const wallMs = ground.ms(1_500);
    // Who counts the time may be kept from it for a while himself, but not each time.
    for (let late = 0; ; late++) {
      const ran = await ground.program('fork-bomb.sh', { limits: { pids: 48, wallMs } });
      must(endedAtACap(ran), 'it did not end at a cap', ran.outcome);
      if ((ran.usage?.wallMs ?? 0) < wallMs + ground.ms(3_000)) return;
      must(late < 4, 'it went on beyond its wall time', ran.usage);
    }
  },
  async control({ outside }) {
    // Under a limit of the shell's own: a bomb without any would take the machine.
    const ran = await outside.run([
      'bash',
      '-c',
      'ulimit -u 100000; f() { f | f & }; for i in 1 2 3 4; do sleep 900 | sleep 900 & done; jobs -p | wc -l',
    ]);
    must(Number(`${ran.stdout}`) === 4, 'processes could not be started', ran);
  },
};

function endedAtACap({ outcome }: Invocation): boolean {
  return (
    outcome?.status === 'limit_exceeded' || outcome?.status === 'timeout' || outcome?.status === 'oom_killed'
  );
}

const stops = {
  self: 'a process that stops itself by SIGSTOP',
  group: 'a process that stops all of its group by SIGSTOP',
  ignore: 'a process that ignores and blocks every signal',
};

function stopped(what: keyof typeof stops): Attack {
  return {
    id: `stop-${what}`,
    group,
    title: stops[what],
    must: 'a wall verdict on time, and nothing survives',
    async attack(ground) {
      const ran = await endedByWall(
        ground,
        (wallMs) => ground.program('stop.py', { args: [what], limits: { wallMs } }),
        (ran) => ran,
      );
      must(ran.stdout === 'still here\n', 'what it had written is lost', ran.stdout);
    },
    async control({ outside }) {
      const ran = await outside.python('stop.py', { args: [what], goesOnMs: 1_000 });
      must(ran.isLate && `${ran.stdout}` === 'still here\n', 'it ended by itself', ran);
    },
  };
}

const daemons: Attack = {
  id: 'daemons',
  group,
  title: 'daemons that left their session, their parent and their descriptors',
  must: 'zero survivors',
  async attack(ground) {
    const name = daemonName();
    const ran = await ground.program('daemon.py', { args: [name] });
    must(ran.outcome?.status === 'ok' && ran.stdout === 'left\n', 'the daemon was not started', ran);
    await untilGone(ground, name);
  },
  async control(ground) {
    const name = daemonName();
    const ran = await ground.outside.python('daemon.py', { args: [name], isApart: false });
    must(`${ran.stdout}` === 'left\n', 'the daemon was not started', ran);
    // What printed that has ended by now; the daemon, which it left, may still be about to execute its sleep.
    const deadline = performance.now() + ground.netMs;
    let alive: number[] = [];
    while (alive.length === 0 && performance.now() < deadline) {
      await delay(20);
      alive = await processesCalled(name);
    }
    for (const pid of alive) process.kill(pid, 'SIGKILL');
    must(alive.length === 1, 'the daemon did not survive its parent', alive);
  },
};

/** Seconds to sleep, which no other process on the machine sleeps. */
export function daemonName(): string {
  return `99${process.pid}.${Math.floor(Math.random() * 1e9)}`;
}

export async function untilGone(ground: Ground, name: string): Promise<void> {
  const deadline = performance.now() + ground.netMs;
  for (let alive = await processesCalled(name); alive.length > 0; alive = await processesCalled(name)) {
    must(performance.now() < deadline, 'daemons survive', alive);
    await delay(20);
  }
}

async function processesCalled(argument: string): Promise<number[]> {
  const pids = (await readdir('/proc')).filter((name) => /^\d+$/.test(name));
  const called = await Promise.all(
    pids.map(async (pid) => {
      // By its name first: who asks a process in the middle of a fork bomb for its command line may wait for long.
      const name = await readFile(`/proc/${pid}/comm`, 'utf8').catch(() => '');
      if (name !== 'sleep\n') return [];
      const commandLine = await readFile(`/proc/${pid}/cmdline`, 'utf8').catch(() => '');
      return commandLine === `sleep\0${argument}\0` ? [Number(pid)] : [];
    }),
  );
  return called.flat();
}

export const processAttacks: readonly Attack[] = [
  manyOf('processes'),
  manyOf('threads'),
  bomb,
  stopped('self'),
  stopped('group'),
  stopped('ignore'),
  daemons,
];
