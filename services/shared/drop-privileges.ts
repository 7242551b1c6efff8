import { readdirSync, readFileSync } from 'node:fs';
import type { HostIds } from './service-ids.ts';

/**
 * Becomes an ordinary user if started by root; does nothing otherwise. To be called after all
 * imports: the code may lie where only root can read. Throws if the kernel refuses.
 */
export function dropPrivileges({ uid, gid }: HostIds): void {
  const { getuid, setgroups, setgid, setuid } = process;
  if (getuid?.() !== 0 || !setgroups || !setgid || !setuid) return;
  // The TypeScript loader's compiler runs as root at the other end of a pipe of ours and writes where it is told to.
  // Everything is compiled by now.
  for (const pid of childrenOf(process.pid)) process.kill(pid, 'SIGKILL');
  // Groups first: after setuid the process may change neither.
  setgroups([]);
  setgid(gid);
  setuid(uid);
}

/** proc(5): the fourth field of /proc/[pid]/stat is the parent; the second, in brackets, may hold anything. */
function childrenOf(parent: number): number[] {
  const pids = readdirSync('/proc').filter((name) => /^\d+$/.test(name));
  return pids.map(Number).filter((pid) => {
    try {
      const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
      return Number(stat.slice(stat.lastIndexOf(')') + 2).split(' ')[1]) === parent;
    } catch {
      return false; // it has ended since
    }
  });
}
