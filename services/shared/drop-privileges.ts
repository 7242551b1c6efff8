/**
 * Becomes the ordinary user `serviceId` if started by root; does nothing otherwise. To be called after all
 * imports: the code may lie where only root can read. Throws if the kernel refuses.
 */
export function dropPrivileges(serviceId: number): void {
  const { getuid, setgroups, setgid, setuid } = process;
  if (getuid?.() !== 0 || !setgroups || !setgid || !setuid) return;
  // Groups first: after setuid the process may change neither.
  setgroups([]);
  setgid(serviceId);
  setuid(serviceId);
}
