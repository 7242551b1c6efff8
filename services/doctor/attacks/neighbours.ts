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
const calls = 100;

const neighbours: Attack = {
  id: 'neighbours',
  group: 'neighbours',
  title:
    'a fork bomb, a memory hog, an endless loop and floods of output and files, beside an ordinary caller',
  must: `every call of the neighbour succeeds, its p99 is less than ${ratioMax} times what it was`,
  async attack(ground) {
    const quiet = await latencies(ground);
    const over = new AbortController();
    const attackers = Object.values(await attacks(ground)).map(async (attack) => {
      let ended = 0;
      while (!over.signal.aborted) {
        await attack();
        ended += 1;
      }
      return ended;
    });
    let busy: number[];
    try {
      busy = await latencies(ground);
    } finally {
      over.abort();
    }
    const ended = await Promise.all(attackers);
    must(
      ended.every((count) => count > 0),
      'an attacker never ran',
      ended,
    );
    const [before, during] = [p99(quiet), p99(busy)];
    const bound = Math.max(before * ratioMax, ground.ms(floorMs));
    must(during <= bound, 'the neighbour takes much longer', { before, during, most: Math.max(...busy) });
  },
  async control({ outside }) {
    const loops = `${3 * ratioMax * availableParallelism()}`;
    const ran = await outside.python('beside-loops.py', { args: [loops], withinMs: 60_000 });
    const { cpu, beside } = saidBy<{ cpu: number; beside: number }>(ran.stdout);
    must(beside > cpu * ratioMax, 'without walls a neighbour is no slower', { cpu, beside });
  },
};

/** Each ends at a cap. */
async function attacks(ground: Ground) {
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

async function latencies(ground: Ground): Promise<number[]> {
  const taken: number[] = [];
  for (let call = 0; call < calls; call++) {
    const startedAt = performance.now();
    const ran = await ground.run({ runtime: 'node', code: 'console.log(6 * 7)' });
    must(ran.outcome?.status === 'ok' && ran.stdout === '42\n', 'a call of the neighbour failed', ran);
    taken.push(performance.now() - startedAt);
  }
  return taken;
}

function p99(values: readonly number[]): number {
  return [...values].sort((a, b) => a - b)[Math.ceil(values.length * 0.99) - 1] ?? 0;
}

export const neighbourAttacks: readonly Attack[] = [neighbours];
