import type { HostIds } from './service-ids.ts';

/**
 * Becomes an ordinary user if started by root; does nothing otherwise. To be called after all
 * imports: the code may lie where only root can read. Throws if the kernel refuses.
 */
export function dropPrivileges({ uid, gid }: HostIds): void {
  const { getuid, setgroups, setgid, setuid } = process;
  if (getuid?.() !== 0 || !setgroups || !setgid || !setuid) return;
  // Groups first: after setuid the process may change neither.
  setgroups([]);
  setgid(gid);
  setuid(uid);
}
