/** What was left behind, by what it is. */
type LeakKind =
  | 'orphan launcher'
  | 'orphan service'
  | 'orphan agent'
  | 'stray process'
  | 'zombie'
  | 'cgroup of no instance'
  | 'cgroup of no zone'
  | 'empty sandbox cgroup'
  | 'mount'
  | 'half-unpacked layer'
  | 'temporary file'
  | 'abandoned platform'
  | 'stale socket'
  | 'sandbox unknown to its worker'
  | 'sandbox unknown to the kernel';

export interface Leak {
  kind: LeakKind;
  /** Names the thing itself, the same at every look: a process with its start, a path. */
  key: string;
  /** For people: what it is and where. */
  what: string;
  /** For people: what takes it away. */
  remedy: string;
  /** Of whose it is, where that can be told. */
  instance?: string;
  pid?: number;
  path?: string;
}
