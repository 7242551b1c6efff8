import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { type Feature, featureOf } from './feature.ts';

/** What the host does, beside our own walls, against those who get through them. */
export async function lookAtHardening(): Promise<Feature[]> {
  return [await vulnerabilities(), await siblingThreads(), await corePattern(), await yama()];
}

async function vulnerabilities(): Promise<Feature> {
  const dir = '/sys/devices/system/cpu/vulnerabilities';
  const names = await readdir(dir).catch(() => []);
  const texts = await Promise.all(names.map(async (name) => ({ name, text: await line(join(dir, name)) })));
  const open = texts
    .filter(({ text }) => /^(Vulnerable|Processor vulnerable)/.test(text))
    .map(({ name }) => name);
  const isOff = /(^| )mitigations=off( |$)/.test(await line('/proc/cmdline'));
  const found = [
    isOff ? 'mitigations=off' : undefined,
    open.length > 0 ? `vulnerable: ${open.join(', ')}` : undefined,
  ].filter(Boolean);
  return featureOf(
    {
      group: 'isolation',
      name: 'CPU mitigations',
      purpose: 'sandboxes share CPUs with each other and with the platform',
      without: 'a program may read memory of others through side channels of the CPU',
      remedy: `newer microcode and kernel, and no mitigations=off on its command line; ${dir} says more. Where that is all done: machines of their own for tenants who must not learn of each other`,
    },
    names.length === 0 ? 'unseen' : found.length > 0 ? 'weak' : 'there',
    found.length > 0
      ? found.join('; ')
      : names.length === 0
        ? 'the kernel does not say'
        : `${names.length} known ones are mitigated, or not of this CPU`,
  );
}

async function siblingThreads(): Promise<Feature> {
  const active = await line('/sys/devices/system/cpu/smt/active');
  return featureOf(
    {
      group: 'isolation',
      name: 'no sibling threads (SMT)',
      purpose: 'threads of one core share its caches, and so could programs of two tenants',
      without: 'side channels between the siblings of a core are open, however the kernel is mitigated',
      remedy: 'echo off > /sys/devices/system/cpu/smt/control, or nosmt on the kernel command line',
    },
    active === '1' ? 'weak' : active === '' ? 'unseen' : 'there',
    active === '1' ? 'on' : active === '' ? 'the kernel does not say' : 'off, or the CPU has none',
  );
}

async function corePattern(): Promise<Feature> {
  const pattern = await line('/proc/sys/kernel/core_pattern');
  return featureOf(
    {
      group: 'isolation',
      name: 'core_pattern without a program',
      purpose: 'programs of sandboxes crash as they like',
      without:
        "the kernel starts this program as the host's root at crashes, and it reads memory that a stranger has filled",
      remedy: 'sysctl kernel.core_pattern=core; apport and systemd-coredump set it at the boot',
    },
    pattern.startsWith('|') ? 'weak' : 'there',
    pattern === '' ? 'none' : pattern,
  );
}

async function yama(): Promise<Feature> {
  const scope = await line('/proc/sys/kernel/yama/ptrace_scope');
  return featureOf(
    {
      group: 'isolation',
      name: 'Yama',
      purpose:
        'processes of one user may not trace each other; sandboxes have users of their own, gateway and worker too',
      without: 'of two services that share a user, one that was broken into could read the other',
      remedy: 'a kernel with CONFIG_SECURITY_YAMA, and sysctl kernel.yama.ptrace_scope=1',
    },
    scope === '' ? 'missing' : scope === '0' ? 'weak' : 'there',
    scope === '' ? 'the kernel has none' : `ptrace_scope is ${scope}`,
  );
}

/** A file's text, or nothing where it cannot be read. */
async function line(path: string): Promise<string> {
  return (await readFile(path, 'utf8').catch(() => '')).trim();
}
