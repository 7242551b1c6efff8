/**
 * The name of a sandbox's cgroup in its zone's (runtime/native/cgroup.c). An id ends with its number in base 36
 * (runtime/zygote/zone.ts), but for one of an OCI runtime: that has a zone of its own, where it is the first.
 */
export function cgroupNameOf(sandboxId: string): string {
  const [name, number = ''] = sandboxId.split('-');
  return name === 'runc' || name === 'gvisor' ? 's1' : `s${Number.parseInt(number, 36)}`;
}

/** Whether a directory in a zone's cgroup is a sandbox's. */
export function isCgroupName(name: string): boolean {
  return /^s\d+$/.test(name);
}
