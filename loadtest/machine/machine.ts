import { execFileSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { cpus, loadavg, release, totalmem } from 'node:os';

export type Machine = ReturnType<typeof describeMachine>;

/** What the figures depend on; the load is that before anything of ours ran. */
export function describeMachine(root: string) {
  return {
    kernel: release(),
    cores: cpus().length,
    model: cpus()[0]?.model ?? 'unknown',
    memoryBytes: totalmem(),
    loadBefore: loadavg().map((load) => Math.round(load * 100) / 100) as [number, number, number],
    cgroups: cgroupVersion(),
    virtualization: virtualization(),
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

/** Null on bare metal. */
function virtualization(): string | null {
  const container = existsSync('/.dockerenv') || existsSync('/run/.containerenv') ? 'in a container' : '';
  const isGuest = /^flags\b.*\bhypervisor\b/m.test(readFileSync('/proc/cpuinfo', 'utf8'));
  const firmware = ['sys_vendor', 'product_name']
    .map((name) => dmi(name))
    .join(' ')
    .trim();
  const guest = isGuest ? `virtual machine${firmware === '' ? '' : ` (${firmware})`}` : '';
  return [guest, container].filter((part) => part !== '').join(', ') || null;
}

function dmi(name: string): string {
  const path = `/sys/class/dmi/id/${name}`;
  return existsSync(path) ? readFileSync(path, 'utf8').trim() : '';
}

function revisionOf(root: string): string {
  try {
    const git = (...args: string[]) =>
      execFileSync('git', ['-C', root, ...args], {
        encoding: 'utf8',
        stdio: ['ignore', 'pipe', 'ignore'],
      }).trim();
    return `${git('rev-parse', '--short', 'HEAD')}${git('status', '--porcelain') === '' ? '' : ' (modified)'}`;
  } catch {
    return 'unknown';
  }
}
