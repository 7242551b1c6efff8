import type { Attack } from './attack.ts';
import { must } from './verdict.ts';

const group = 'memory';
const MiB = 1024 * 1024;
const capBytes = 32 * MiB;
const wantedBytes = 96 * MiB;

const ways = {
  heap: 'heap',
  tmpfs: 'files of a tmpfs that have no name any more',
  memfd: 'a memfd',
  sysv: 'System V shared memory',
  pipes: 'buffers of pipes',
  sockets: 'buffers of sockets',
  'page-tables': 'page tables',
} as const;

function memoryBy(kind: keyof typeof ways): Attack {
  const act = { args: [kind, `${wantedBytes}`] };
  return {
    id: `memory-${kind}`,
    group,
    title: `${wantedBytes / MiB} MiB of memory by ${ways[kind]}, under a cap of ${capBytes / MiB} MiB`,
    must: "`oom_killed`, with a peak no higher than the cap; the node's own memory unaffected",
    async attack(ground) {
      const limits = { memoryBytes: capBytes, diskBytes: 2 * wantedBytes };
      const ran = await ground.program('take-memory.py', { ...act, limits });
      must(!ran.stdout.includes('took it all'), 'it got all that it wanted', ran);
      must(ran.outcome?.status === 'oom_killed', 'the outcome is another', ran);
      const peak = ran.usage?.memoryPeakBytes ?? 0;
      must(peak > capBytes / 2 && peak <= capBytes, 'the peak is not below the cap', peak);
    },
    async control({ outside }) {
      const ran = await outside.python('take-memory.py', act);
      must(`${ran.stdout}`.includes('took it all'), 'it did not get what it wanted', ran);
    },
  };
}

export const memoryAttacks: readonly Attack[] = (Object.keys(ways) as (keyof typeof ways)[]).map(memoryBy);
