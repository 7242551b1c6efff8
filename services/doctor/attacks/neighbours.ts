import { availableParallelism } from 'node:os';
import type { Attack } from './attack.ts';
import { type Ground, saidBy } from './ground.ts';
import { must } from './verdict.ts';

/**
 * How many times longer the slowest in a hundred of a neighbour's calls may take under attack: five attackers have no more
 * than their shares of the cores.
 */
const ratioMax = 10;
/** What is not called slow on a machine that others use too, milliseconds. */
const floorMs = 1_500;
/** With and without attackers in turn. What others do on this machine comes and goes; attackers are there in each. */
const rounds = 5;
const callsOfRound = 20;

const neighbours: Attack = {
  id: 'neighbours',
  group: 'neighbours',
  title:
    'a fork bomb, a memory hog, an endless loop and floods of output and files, beside an ordinary caller',
  must: `every call of the neighbour succeeds, and in two of ${rounds} rounds its p99 is no more than ${ratioMax} times what it is without (the median of ${rounds})`,
  async attack(ground) {
    const quiet: number[] = [];
    const busy: number[] = [];
    for (let round = 0; round < rounds; round++) {
      quiet.push(p99(await latencies(ground, () => true)));
      busy.push(p99(await latenciesUnderAttack(ground)));
    }
    // What others do makes no round quicker, and may spoil most of them; a single good one beside attackers may be luck.
    const before = ranked(quiet, Math.ceil(rounds / 2));
    const during = ranked(busy, 2);
    const bound = Math.max(before * ratioMax, ground.ms(floorMs));
    must(during <= bound, 'the neighbour takes much longer', { quiet, busy });
  },
  async control({ outside }) {
    const loops = `${3 * ratioMax * availableParallelism()}`;
    const ran = await outside.python('beside-loops.py', { args: [loops], withinMs: 300_000 });
    const { cpu, beside } = saidBy<{ cpu: number; beside: number }>(ran.stdout);
    must(beside > cpu * ratioMax, 'without walls a neighbour is no slower', { cpu, beside });
  },
};

/** Each ends at a cap. */
function attacks(ground: Ground) {
  const wallMs = ground.ms(1_000);
  const program =
    (name: string, args: string[], limits = {}) =>
    () =>
      ground.program(name, { args, limits: { wallMs, ...limits } });
  return {
    bomb: program('fork-bomb.sh', [], { pids: 64 }),
    memory: program('take-memory.py', ['heap', `${512 * 1024 * 1024}`], { memoryBytes: 64 * 1024 * 1024 }),
    output: program('write-bytes.py', ['stdout', '100000000', '61620a']),
    files: program('fill-disk.py', ['files', '1000000', '/work', '/tmp']),
    loop: () => ground.run({ runtime: 'python', code: 'while True: pass', limits: { wallMs } }),
  };
}

/** Until each of the attackers has had its time from its beginning to its end. */
async function latenciesUnderAttack(ground: Ground): Promise<number[]> {
  const acts = attacks(ground);
  const ended = new Set<string>();
  let isOver = false;
  const attackers = Promise.all(
    Object.entries(acts).map(async ([name, attack]) => {
      while (!isOver) {
        await attack();
        ended.add(name);
      }
    }),
  );
  attackers.catch(() => {
    isOver = true;
  });
  try {
    return await latencies(ground, () => isOver || ended.size === Object.keys(acts).length);
  } finally {
    isOver = true;
    await attackers;
  }
}

async function latencies(ground: Ground, isEnough: () => boolean): Promise<number[]> {
  const taken: number[] = [];
  while (taken.length < callsOfRound || !isEnough()) {
    const startedAt = performance.now();
    const ran = await ground.run({ runtime: 'node', code: 'console.log(6 * 7)' });
    must(ran.outcome?.status === 'ok' && ran.stdout === '42\n', 'a call of the neighbour failed', ran);
    taken.push(performance.now() - startedAt);
  }
  return taken;
}

function p99(values: readonly number[]): number {
  return ranked(values, Math.ceil(values.length * 0.99));
}

/** The smallest is the first. */
function ranked(values: readonly number[], rank: number): number {
  return [...values].sort((a, b) => a - b)[rank - 1] ?? 0;
}

export const neighbourAttacks: readonly Attack[] = [neighbours];
