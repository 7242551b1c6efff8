import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { cpus, loadavg, release } from 'node:os';

export type Machine = ReturnType<typeof describeMachine>;

/** What the figures depend on; the load is that before anything of ours ran. */
export function describeMachine(root: string) {
  return {
    kernel: release(),
    cores: cpus().length,
    model: cpus()[0]?.model ?? 'unknown',
    loadBefore: loadavg().map((load) => Math.round(load * 100) / 100),
    cgroups: cgroupVersion(),
    node: process.version,
    revision: revisionOf(root),
  };
}

/** v2 only where its mount has the controllers: on hybrid hosts it is there and empty. */
function cgroupVersion(): string {
  const mounts = readFileSync('/proc/self/mountinfo', 'utf8');
  const hasV1 = / - cgroup /.test(mounts);
  if (/ - cgroup2 /.test(mounts)) return hasV1 ? 'v1 (hybrid)' : 'v2';
  return hasV1 ? 'v1' : 'none';
}

function revisionOf(root: string): string {
  try {
    const git = (...args: string[]) =>
      execFileSync('git', ['-C', root, ...args], { encoding: 'utf8' }).trim();
    return `${git('rev-parse', '--short', 'HEAD')}${git('status', '--porcelain') === '' ? '' : ' (modified)'}`;
  } catch {
    return 'unknown';
  }
}
