import type { Attack } from './attack.ts';
import { saidBy } from './ground.ts';
import { must } from './verdict.ts';

const group = 'disk';
const MiB = 1024 * 1024;
const diskBytes = 8 * MiB;
const diskInodes = 2_000;
/** Everywhere that a sandbox can write. */
const places = ['/work', '/tmp', '/dev/shm', '/var/tmp'];

interface Filling {
  id: string;
  title: string;
  kind: 'everywhere' | 'unlinked' | 'sparse' | 'files' | 'deep' | 'links';
  wanted: number;
  /** The cap that is named. */
  limit: 'disk' | 'inodes';
  /** How much may be had. */
  most: number;
  places?: string[];
}

const fillings: Filling[] = [
  {
    id: 'disk-bytes',
    title: 'filling /work, /tmp, /var/tmp and /dev/shm in turn',
    kind: 'everywhere',
    wanted: 4 * diskBytes,
    limit: 'disk',
    most: diskBytes,
    places,
  },
  {
    id: 'disk-unlinked',
    title: 'a file that is unlinked but open, and grows',
    kind: 'unlinked',
    wanted: 4 * diskBytes,
    limit: 'disk',
    most: diskBytes,
  },
  {
    id: 'disk-sparse',
    title: 'a file of 1 TiB of holes that is claimed, and then filled here and there',
    kind: 'sparse',
    wanted: 4 * diskBytes,
    limit: 'disk',
    most: diskBytes,
  },
  {
    id: 'disk-long-links',
    title: 'symbolic links of 4 KB each',
    kind: 'links',
    wanted: 4 * diskInodes,
    limit: 'inodes',
    most: diskInodes,
  },
  {
    id: 'disk-files',
    title: 'a million tiny files',
    kind: 'files',
    wanted: 1_000_000,
    limit: 'inodes',
    most: diskInodes,
    places,
  },
  {
    id: 'disk-deep',
    title: 'directories in each other, ten thousand deep',
    kind: 'deep',
    wanted: 10_000,
    limit: 'inodes',
    most: diskInodes,
  },
];

function fill({ id, title, kind, wanted, limit, most, places: where = [] }: Filling): Attack {
  const args = [kind, `${wanted}`, ...where];
  return {
    id,
    group,
    title,
    must: 'ENOSPC at the cap, the cap named in the outcome; all freed at the exit',
    async attack(ground) {
      // Its changes are asked for too: who walks them meets what the program made.
      const ran = await ground.program('fill-disk.py', {
        args,
        limits: { diskBytes, diskInodes },
        diff: true,
      });
      const { got, reason } = saidBy<{ got: number; reason: string }>(ran);
      must(reason === 'ENOSPC' && got <= most, 'it was not refused at the cap', { got, reason });
      const { outcome } = ran;
      const named = outcome?.status === 'limit_exceeded' ? outcome.limit : undefined;
      must(named === limit, 'the cap is not named', outcome);
    },
    async control({ outside }) {
      // Fewer are enough to be more than the cap.
      const enough = `${limit === 'inodes' ? most + 500 : wanted}`;
      const ran = await outside.python('fill-disk.py', { args: [kind, enough] });
      const { got } = saidBy<{ got: number }>(ran.stdout);
      must(got > most, 'it did not get more than the cap', { got, ran });
    },
  };
}

export const diskAttacks: readonly Attack[] = fillings.map(fill);
