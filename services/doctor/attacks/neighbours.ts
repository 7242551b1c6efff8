import type { Attack } from './attack.ts';
import { type Ground, saidBy } from './ground.ts';
import { must } from './verdict.ts';

/** How much longer a neighbour may take under attack, in the middle: the machine's cores are shared, fairly. */
const ratioMax = 25;
const floorMs = 400;
const calls = 24;

const neighbours: Attack = {
  id: 'neighbours',
  group: 'neighbours',
  title:
    'a fork bomb, a memory hog, an endless loop and floods of output and files, beside an ordinary caller',
  must: 'every call of the neighbour succeeds, none takes unboundedly longer',
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
    const [before, during] = [median(quiet), median(busy)];
    const bound = Math.max(before * ratioMax, ground.ms(floorMs));
    must(during <= bound, 'the neighbour takes much longer', { before, during, most: Math.max(...busy) });
  },
  async control(ground) {
    // In the same sandbox, with no wall between them, the neighbour could start nothing.
    const ran = await ground.program('fork-many.py', { args: ['processes', '100'], limits: { pids: 24 } });
    const { reason } = saidBy<{ reason: string | null }>(ran);
    must(
      reason?.includes('temporarily unavailable') === true,
      'beside the bomb a neighbour could get on',
      ran,
    );
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

function median(values: readonly number[]): number {
  return [...values].sort((a, b) => a - b)[Math.floor(values.length / 2)] ?? 0;
}

export const neighbourAttacks: readonly Attack[] = [neighbours];
