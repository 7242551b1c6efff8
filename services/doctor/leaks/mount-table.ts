import { readFileSync } from 'node:fs';

/** A line of mountinfo (proc(5)). */
export interface Mount {
  /** Which part of the file system it shows. */
  root: string;
  point: string;
  type: string;
  options: string;
}

/** The mounts that a process sees; none when it has ended or we may not look. */
export function mountsOf(pid: number | 'self'): Mount[] {
  try {
    return readFileSync(`/proc/${pid}/mountinfo`, 'utf8').trimEnd().split('\n').map(parse);
  } catch {
    return [];
  }
}

function parse(line: string): Mount {
  const [head = '', tail = ''] = line.split(' - ');
  const [, , , root = '', point = ''] = head.split(' ').map(unescaped);
  const [type = '', , options = ''] = tail.split(' ').map(unescaped);
  return { root, point, type, options };
}

const unescaped = (text: string) =>
  text.replace(/\\([0-7]{3})/g, (_, digits: string) => String.fromCharCode(Number.parseInt(digits, 8)));

/** Cgroup hierarchies, of v1 and v2; several mounts may show one. */
export const cgroupMounts = (): Mount[] => mountsOf('self').filter(({ type }) => /^cgroup2?$/.test(type));
